// Which language the page speaks: the one that was picked here, or the first of the browser's that there is.
import { computed, ref } from 'vue'
import { recall, remember } from '../composables/storage'

export type Language = 'en' | 'de'
export type LanguageChoice = Language | 'browser'

/** By their own names, so that whoever needs one can read it. */
export const languageNames: Readonly<Record<Language, string>> = { en: 'English', de: 'Deutsch' }

const isLanguage = (word: string | null): word is Language => word !== null && Object.hasOwn(languageNames, word)
const wished = () => (typeof navigator === 'undefined' ? [] : navigator.languages)
const stored = recall('language')

const choice = ref<LanguageChoice>(isLanguage(stored) ? stored : 'browser')

const language = computed<Language>(() => {
  if (choice.value !== 'browser') return choice.value
  return wished().map((tag) => tag.slice(0, 2).toLowerCase()).find(isLanguage) ?? 'en'
})

/** For `Intl`: the reader's own kind of that language (en-GB, de-AT), where the browser names one. */
export const languageTag = computed(() => wished().find((tag) => tag.toLowerCase().startsWith(language.value)) ?? language.value)

function choose(next: LanguageChoice): void {
  choice.value = next
  remember('language', next === 'browser' ? null : next)
  tellPage()
}

/** A screen reader pronounces the page by this. */
export function tellPage(): void {
  document.documentElement.lang = language.value
}

export function useLanguage() {
  return { choice, language, choose }
}
