// Code in colours, as Vue nodes: a reader of languages gives a tree of spans with classes, and that is all that comes out
// of it. Loaded when there is code.
import { common, createLowlight } from 'lowlight'
import { h, type VNode } from 'vue'

/** Beyond this, colours cost frames. */
const LONGEST = 30_000
const lowlight = createLowlight(common)

interface Piece { type: string; value?: string; properties?: { className?: unknown }; children?: readonly Piece[] }

/** Null where the language is not known. */
export function highlighted(code: string, lang: string): (VNode | string)[] | null {
  const name = lang.toLowerCase()
  if (code.length > LONGEST || !lowlight.registered(name)) return null
  return (lowlight.highlight(name, code) as unknown as Piece).children?.map(node) ?? null
}

function node(piece: Piece): VNode | string {
  if (piece.type === 'text') return piece.value ?? ''
  const names = Array.isArray(piece.properties?.className) ? piece.properties.className : []
  const classes = names.filter((one): one is string => typeof one === 'string' && /^[\w-]+$/.test(one))
  return h('span', { class: classes }, piece.children?.map(node) ?? [])
}
