// Draws Markdown into a real document, as the page does.
import { createApp, h, nextTick, ref } from 'vue'
import MarkdownBody from '../src/components/chat/MarkdownBody'

export function drawn(text: string, growing = false): HTMLElement {
  const root = document.createElement('div')
  createApp(MarkdownBody, { text, growing }).mount(root)
  return root
}

/** One that grows: `set` changes its text, or says that it is whole. */
export function growing(): { root: HTMLElement; set(text: string, more?: boolean): Promise<void> } {
  const root = document.createElement('div')
  const text = ref('')
  const more = ref(true)
  createApp({ render: () => h(MarkdownBody, { text: text.value, growing: more.value }) }).mount(root)
  return {
    root,
    set: (next, still = true) => {
      text.value = next
      more.value = still
      return nextTick()
    },
  }
}
