// What is in the box and not sent, one for each conversation; lives until the tab closes or the text is sent.
import { ref, watch, type Ref } from 'vue'
import { NEW } from '../chat/chats'
import { recall, remember } from './storage'

const PREFIX = 'draft.'
const tab = () => sessionStorage

export function useDraft(id: Ref<string | null>): Ref<string> {
  const name = () => `${PREFIX}${id.value ?? NEW}`
  const draft = ref(recall(name(), tab) ?? '')
  let owner = name()
  watch(id, () => {
    remember(owner, draft.value, tab)
    owner = name()
    draft.value = recall(owner, tab) ?? ''
  })
  watch(draft, (text) => remember(owner, text, tab))
  return draft
}

export function forgetDrafts(): void {
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(`starling.${PREFIX}`)) sessionStorage.removeItem(key)
    }
  } catch {
    // Storage is forbidden, so nothing was kept.
  }
}
