// Numbers, sizes and dates as the page's language writes them, and sentences of the gateway's.
import { languageTag } from './language'

export function whole(value: number): string {
  return value.toLocaleString(languageTag.value, { maximumFractionDigits: 0 })
}

export function decimal(value: number, digits = 1): string {
  return value.toLocaleString(languageTag.value, { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** With as many digits behind the point as it needs, up to two. */
export function decimalShort(value: number): string {
  return value.toLocaleString(languageTag.value, { maximumFractionDigits: 2 })
}

/** Of one: 0.4 is 40 %. Never more than there is: 99.9 % is not all. */
export function percent(share: number): string {
  return (Math.floor(share * 100 + 1e-9) / 100).toLocaleString(languageTag.value, { style: 'percent' })
}

export function gigabytes(bytes: number): string {
  return decimal(bytes / 1e9)
}

export function milliseconds(ms: number): string {
  if (ms < 10) return `${decimal(ms)} ms`
  if (ms < 1000) return `${whole(ms)} ms`
  return `${decimal(ms / 1000, ms < 10_000 ? 1 : 0)} s`
}

/** Tokens in a second, or what else is counted: a digit behind the point only where it says something. */
export function rate(value: number): string {
  return value < 10 ? decimal(value) : whole(value)
}

export function shortDate(time: string): string {
  return new Date(time).toLocaleDateString(languageTag.value, { day: 'numeric', month: 'short', year: 'numeric' })
}

/** The time of day. */
export function clock(time: string): string {
  return new Date(time).toLocaleTimeString(languageTag.value, { hour: '2-digit', minute: '2-digit' })
}

export function dateAndTime(time: string): string {
  return new Date(time).toLocaleString(languageTag.value, { dateStyle: 'medium', timeStyle: 'short' })
}

/** "a, b and c". */
export function listed(words: readonly string[]): string {
  return new Intl.ListFormat(languageTag.value).format(words)
}

/** The gateway writes in the middle of a line, as programs do; on a page it is a sentence. */
export function sentence(words: string): string {
  const text = words.trim()
  if (text === '') return ''
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`
}
