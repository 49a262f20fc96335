// Something that the gateway is asked for when a page opens, and perhaps again and again while it is looked at.
import { onBeforeUnmount, onMounted, ref, shallowRef } from 'vue'
import { noteExpiry } from './useSession'

export type LoadState = 'loading' | 'ready' | 'failed'

/** Hands an error on, having noted when it means that the session is over. */
export function told(error: unknown): never {
  noteExpiry(error)
  throw error
}

/** With `everyMs` it is asked for again, one request after the other, while the page can be seen. */
export function useLoaded<T>(ask: () => Promise<T>, first: T, everyMs = 0) {
  const value = shallowRef<T>(first)
  const state = ref<LoadState>('loading')
  /** The last request failed; what was there before is still shown. */
  const stale = ref(false)
  let latest = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let gone = false

  async function load(): Promise<void> {
    const mine = (latest += 1)
    clearTimeout(timer)
    try {
      const found = await ask()
      // A later question has another answer.
      if (mine !== latest) return
      value.value = found
      state.value = 'ready'
      stale.value = false
    } catch (error) {
      if (mine !== latest) return
      noteExpiry(error)
      stale.value = true
      if (state.value !== 'ready') state.value = 'failed'
    }
    again()
  }

  function again(): void {
    if (everyMs > 0 && !gone) timer = setTimeout(() => { if (document.hidden) again(); else void load() }, everyMs)
  }

  onMounted(load)
  onBeforeUnmount(() => {
    gone = true
    latest += 1
    clearTimeout(timer)
  })

  return { value, state, stale, load }
}
