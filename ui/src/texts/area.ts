// The sentences of one part of the page, in the language that is spoken now. English is in the code that needs it; another
// language is fetched when it is wanted, and until it is there, or when it cannot be had, English is shown.
import { computed, shallowRef, type ComputedRef } from 'vue'
import { useLanguage } from './language'

export interface Area<T> {
  texts: ComputedRef<T>
  /** Settles when the texts of the language are there, or cannot be had. */
  ready(): Promise<void>
}

/** `german` has the same shape as `english`: the compiler sees to it. (A function that chooses between sentences says
 * that it gives a `string`, or the compiler asks for the very same words.) */
export function area<T>(english: T, german: () => Promise<T>): Area<T> {
  const { language } = useLanguage()
  const fetched = shallowRef<T | null>(null)
  let fetching: Promise<void> | null = null

  const ready = async () => {
    if (language.value === 'en' || fetched.value) return
    // Who cannot be reached now is asked again the next time.
    fetching ??= german().then((texts) => { fetched.value = texts }, () => {}).finally(() => { fetching = null })
    await fetching
  }
  const texts = computed(() => {
    if (language.value === 'en') return english
    if (!fetched.value) void ready()
    return fetched.value ?? english
  })
  return { texts, ready }
}

/** What an area says, as a ref that changes with the language. */
export function useTexts<T>(of: Area<T>): ComputedRef<T> {
  return of.texts
}
