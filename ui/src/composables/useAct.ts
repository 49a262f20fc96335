// One request after another that changes something, and the sentence that says why the last one did not.
import { ref } from 'vue'
import { reason } from '../texts'
import { noteExpiry } from './useSession'

export function useAct() {
  const busy = ref(false)
  const failure = ref('')

  /** Whether it was done. */
  async function act(request: () => Promise<unknown>): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    failure.value = ''
    try {
      await request()
      return true
    } catch (error) {
      noteExpiry(error)
      failure.value = reason(error)
      return false
    } finally {
      busy.value = false
    }
  }

  return { busy, failure, act }
}
