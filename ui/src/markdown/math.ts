// A formula in TeX to MathML, as Vue nodes. KaTeX reads it and gives a tree; only elements and attributes that are
// named here come out of that, so a formula cannot bring a link, a style or a script. Loaded when there is a formula.
import katex from 'katex'
import { h, type VNode } from 'vue'
import { styled } from './letters'

/** What KaTeX makes of a formula when it is asked for MathML. */
interface Piece {
  type?: string
  text?: string
  attributes?: Record<string, string>
  children?: readonly Piece[]
  /** Of a space, in em; some have a character of their own. */
  width?: number
  character?: string | null
}

const ELEMENTS = new Set([
  'math', 'semantics', 'mrow', 'mi', 'mn', 'mo', 'ms', 'mtext', 'mspace', 'mfrac', 'msqrt', 'mroot', 'msub', 'msup', 'msubsup',
  'munder', 'mover', 'munderover', 'mtable', 'mtr', 'mtd', 'mlabeledtr', 'menclose', 'mpadded', 'mphantom', 'mstyle', 'merror',
])
const ATTRIBUTES = new Set([
  'stretchy', 'fence', 'separator', 'accent', 'accentunder', 'largeop', 'movablelimits', 'symmetric', 'form',
  'displaystyle', 'scriptlevel', 'linethickness', 'lspace', 'rspace', 'width', 'height', 'depth', 'voffset', 'minsize', 'maxsize',
  'columnalign', 'columnspacing', 'columnlines', 'rowspacing', 'rowlines', 'rowalign', 'notation', 'mathcolor', 'display',
])
/** More than this from one formula is an attack or an accident; it is shown as it was written. */
const MOST_PIECES = 5000
const OPTIONS = {
  output: 'mathml', throwOnError: true, strict: 'ignore', trust: false, maxSize: 20, maxExpand: 200,
} as const

type ToTree = (tex: string, options: object) => Piece
const toTree = (katex as unknown as { __renderToDomTree: ToTree }).__renderToDomTree

/** Null where it is no formula that can be read. */
export function mathNode(tex: string, display: boolean): VNode | null {
  try {
    const root = find(toTree(tex, { ...OPTIONS, displayMode: display }))
    const count = { left: MOST_PIECES }
    const made = root && node(root, count)
    return typeof made === 'object' ? made : null
  } catch {
    return null
  }
}

/** KaTeX wraps its MathML in a span. */
function find(piece: Piece): Piece | null {
  if (piece.type === 'math') return piece
  for (const child of piece.children ?? []) {
    const math = find(child)
    if (math) return math
  }
  return null
}

function node(piece: Piece, count: { left: number }): VNode | string | null {
  count.left -= 1
  if (count.left < 0) throw new RangeError('too large a formula')
  if (piece.text !== undefined && piece.type === undefined) return piece.text
  if (piece.width !== undefined && piece.type === undefined) return piece.character ?? h('mspace', { '^width': `${piece.width}em` })
  // The formula as text is for programs that read it aloud, and they have the MathML.
  if (piece.type === 'annotation') return null
  const variant = piece.attributes?.['mathvariant']
  if (variant && piece.children?.every((child) => child.text !== undefined)) {
    // One letter alone would lean; this keeps it upright.
    const upright = variant === 'normal' ? { '^mathvariant': 'normal' } : null
    return h(ELEMENTS.has(piece.type ?? '') ? String(piece.type) : 'mi', upright, styled(piece.children.map((child) => child.text).join(''), variant))
  }
  const inner = (piece.children ?? []).map((child) => node(child, count)).filter((made) => made !== null)
  if (!piece.type || !ELEMENTS.has(piece.type)) return h('mrow', inner)
  const attributes = Object.entries(piece.attributes ?? {}).filter(([name, value]) => ATTRIBUTES.has(name) && value.length < 100)
  return h(piece.type, Object.fromEntries(attributes.map(([name, value]) => [`^${name}`, value])), inner)
}
