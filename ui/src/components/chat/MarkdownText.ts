// Markdown when its reader has been fetched, and the plain text until then or when it cannot be.
import { defineComponent, h, shallowRef, type Component, type ShallowRef } from 'vue'

const reader: ShallowRef<Component | null> = shallowRef(null)
let fetching = false

/** Asked for when a chat is opened, so that it is there before the first answer is. */
export async function fetchReader(): Promise<void> {
  if (reader.value || fetching) return
  fetching = true
  try {
    reader.value = (await import('./MarkdownBody')).default
  } catch {
    // Plain text can be read too; the next answer tries again.
  }
  fetching = false
}

export default defineComponent({
  name: 'MarkdownText',
  props: { text: { type: String, required: true }, growing: { type: Boolean, default: false } },
  setup(props) {
    void fetchReader()
    return () => (reader.value ? h(reader.value, props) : h('div', { class: 'md is-plain' }, props.text))
  },
})
