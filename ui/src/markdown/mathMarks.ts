// Models mark mathematics as TeX does, \(…\) and \[…\], or with one dollar; the Markdown reader knows only $$. Here the
// first kinds become the last, and code is left alone. Runs once over the text, however it is made.

/** Longer formulas than this are shown as they were written. */
const LONGEST = 4000

interface Scan {
  text: string
  /** Where a closing mark was found last, so that no stretch is searched twice. */
  found: Map<string, number>
}

export function withMathMarks(text: string): string {
  if (!text.includes('$') && !text.includes('\\(') && !text.includes('\\[')) return text
  const scan: Scan = { text, found: new Map() }
  let out = ''
  let copied = 0
  let at = 0
  while (at < text.length) {
    const mark = markAt(scan, at)
    if (!mark) {
      at += text[at] === '\\' ? 2 : 1
      continue
    }
    if (mark.tex !== null) {
      out += text.slice(copied, at) + dollars(text, at, mark)
      copied = mark.end
    }
    at = mark.end
  }
  return out + text.slice(copied)
}

/** What begins here: code (`tex` is null) up to its end, or a formula. */
interface Mark { tex: string | null; end: number; block: boolean }

function markAt(scan: Scan, at: number): Mark | null {
  const { text } = scan
  switch (text[at]) {
    case '`': case '~': return code(scan, at)
    case '$': return dollar(scan, at)
    case '\\': {
      const close = text[at + 1] === '(' ? '\\)' : text[at + 1] === '[' ? '\\]' : null
      return close ? between(scan, at, 2, close) : null
    }
    default: return null
  }
}

function next(scan: Scan, mark: string, from: number): number {
  const known = scan.found.get(mark)
  if (known !== undefined && (known >= from || known < 0)) return known
  const at = scan.text.indexOf(mark, from)
  scan.found.set(mark, at)
  return at
}

function between(scan: Scan, at: number, open: number, close: string): Mark | null {
  const end = next(scan, close, at + open)
  if (end < 0 || end - at > LONGEST) return null
  const tex = scan.text.slice(at + open, end)
  if (tex.trim() === '' || tex.includes('\n\n')) return null
  return { tex, end: end + close.length, block: close === '\\]' }
}

/** One dollar, as Pandoc reads it: nothing empty beside it, and no amount of money behind it. */
function dollar(scan: Scan, at: number): Mark | null {
  const { text } = scan
  if (text[at + 1] === '$') {
    const end = next(scan, '$$', at + 2)
    return { tex: null, end: end < 0 ? at + 2 : end + 2, block: false }
  }
  if (/\w/.test(text[at - 1] ?? '') || !/\S/.test(text[at + 1] ?? '')) return null
  const mark = between(scan, at, 1, '$')
  if (!mark?.tex || /\s$/.test(mark.tex) || mark.tex.includes('\n') || /\d/.test(text[mark.end] ?? '')) return null
  return mark
}

/** A span of code, or a fence at the beginning of a line, which without an end goes to the end of the text. */
function code(scan: Scan, at: number): Mark | null {
  const { text } = scan
  let run = at
  while (text[run] === text[at]) run += 1
  const ticks = text.slice(at, run)
  const lineStart = text.lastIndexOf('\n', at - 1) + 1
  const fence = ticks.length >= 3 && text.slice(lineStart, at).trim() === ''
  if (!fence && text[at] === '~') return { tex: null, end: run, block: false }
  const end = next(scan, fence ? `\n${ticks}` : ticks, run)
  if (end < 0) return { tex: null, end: fence ? text.length : run, block: false }
  return { tex: null, end: end + ticks.length + (fence ? 1 : 0), block: false }
}

/** A formula of its own lines becomes a fence with the same indent; any other stays in its line. */
function dollars(text: string, at: number, { tex, end, block }: Mark): string {
  const lineStart = text.lastIndexOf('\n', at - 1) + 1
  const indent = text.slice(lineStart, at)
  const alone = indent.trim() === '' && /^[ \t]*(\n|$)/.test(text.slice(end, end + 40))
  const body = (tex ?? '').trim()
  if (!block || !alone) return `$$${body.replaceAll('\n', ' ')}$$`
  return ['$$', ...body.split('\n').map((line) => line.trim()), '$$'].join(`\n${indent}`)
}
