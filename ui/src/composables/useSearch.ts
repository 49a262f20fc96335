// Looking for words in one's conversations. The last words count: an answer to earlier ones is dropped.
import { onBeforeUnmount, ref, shallowRef, watch } from 'vue'
import { api } from '../net/api'
import type { Conversation } from '../wire'
import { noteExpiry } from './useSession'

/** Long enough not to ask with every letter. */
const PAUSE_MS = 250

export function useSearch() {
  const words = ref('')
  /** Null while nothing is looked for. */
  const found = shallowRef<readonly Conversation[] | null>(null)
  const failed = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  async function look(wanted: string): Promise<void> {
    try {
      const list = await api.search(wanted)
      if (words.value.trim() !== wanted) return
      found.value = list
      failed.value = false
    } catch (error) {
      noteExpiry(error)
      if (words.value.trim() === wanted) failed.value = true
    }
  }

  watch(words, (now) => {
    clearTimeout(timer)
    failed.value = false
    const wanted = now.trim()
    if (wanted === '') found.value = null
    else timer = setTimeout(() => void look(wanted), PAUSE_MS)
  })
  onBeforeUnmount(() => clearTimeout(timer))

  return { words, found, failed }
}
