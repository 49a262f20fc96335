// A pause in one line: why, and when the node is back, as far as it says so.
import type { common } from '../../texts/common/en'
import type { PausedView } from '../../wire'

export function pauseOf({ reason, seconds, returning }: PausedView, words: typeof common.pause): string {
  const back = returning ? words.returning : seconds === null ? '' : words.back(seconds)
  return words.line(words.reason(reason), back)
}
