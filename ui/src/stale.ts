// A part of the page that cannot be had: mostly because the gateway was updated since the page was opened, and what the
// old page names is gone. The page of now is loaded in its place, once; when that does not help, it is another trouble.
import { recall, remember } from './composables/storage'

const tab = () => sessionStorage
const MARK = 'reloaded-for'
/** In the words of Chromium, Firefox, Safari and Vite. */
const MISSING_PART = /dynamically imported module|module script failed|preload/i

export function isMissingPart(error: unknown): boolean {
  return error instanceof Error && MISSING_PART.test(error.message)
}

/** True when the address is loaded anew. */
export function loadAnew(error: unknown, path: string, go: (path: string) => void = (to) => location.assign(to)): boolean {
  if (!isMissingPart(error) || recall(MARK, tab) === path) return false
  remember(MARK, path, tab)
  go(path)
  return true
}

/** All that was wanted is there. */
export function isWhole(): void {
  remember(MARK, null, tab)
}
