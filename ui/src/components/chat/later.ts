// A part of the page that is fetched when it is first needed; until then, and where it cannot be had, there is null.
import { shallowRef, type ShallowRef } from 'vue'

export function later<T>(fetch: () => Promise<T>): () => ShallowRef<T | null> {
  const part: ShallowRef<T | null> = shallowRef(null)
  let fetching = false
  return () => {
    if (!part.value && !fetching) {
      fetching = true
      // Who cannot be reached now is asked again the next time.
      fetch().then((found) => { part.value = found }, () => {}).finally(() => { fetching = false })
    }
    return part
  }
}
