// Markdown text to a tree of nodes, also while the text is still growing. Knows nothing of the page.
import type { Definition, FootnoteDefinition, Root, RootContent } from 'mdast'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { gfmFromMarkdown } from 'mdast-util-gfm'
import { mathFromMarkdown } from 'mdast-util-math'
import { gfm } from 'micromark-extension-gfm'
import { math } from 'micromark-extension-math'

export type Block = RootContent

// One dollar is money more often than mathematics: `mathMarks.ts` tells the two apart.
const syntax = [gfm(), math({ singleDollarTextMath: false })]
const build = [gfmFromMarkdown(), mathFromMarkdown()]

export function parse(text: string): Root {
  try {
    return fromMarkdown(text, { extensions: syntax, mdastExtensions: build })
  } catch {
    // Text made to break a parser is still text.
    return { type: 'root', children: [{ type: 'paragraph', children: [{ type: 'text', value: text }] }] }
  }
}

/**
 * Reads a text that only gets longer and parses its last block alone: a block that another one
 * follows is settled and keeps its identity, so that it is not drawn again either. A reference
 * defined further down than it is used is seen at the end, when the whole is parsed once.
 */
export class GrowingText {
  private settled: Block[] = []
  private settledTo = 0
  private seen = ''

  grow(text: string): readonly Block[] {
    if (!text.startsWith(this.seen)) this.restart()
    this.seen = text
    const from = this.settledTo
    const tail = parse(text.slice(from)).children
    const last = tail.at(-1)
    const start = last?.position?.start.offset
    if (!last || start === undefined || tail.length < 2) return [...this.settled, ...tail]
    this.settled = [...this.settled, ...tail.slice(0, -1)]
    this.settledTo = from + start
    return [...this.settled, last]
  }

  finish(text: string): readonly Block[] {
    this.restart()
    return parse(text).children
  }

  private restart(): void {
    this.settled = []
    this.settledTo = 0
    this.seen = ''
  }
}

/** Addresses of `[text][name]` links, by name; the first definition of a name counts. */
export function definitions(blocks: readonly Block[]): ReadonlyMap<string, Definition> {
  const found = new Map<string, Definition>()
  walk(blocks, (node) => {
    if (node.type === 'definition' && !found.has(node.identifier)) found.set(node.identifier, node)
  })
  return found
}

export function footnotes(blocks: readonly Block[]): readonly FootnoteDefinition[] {
  return blocks.filter((node) => node.type === 'footnoteDefinition')
}

/** Definitions stand at the top or in quotes and lists; deeper than this nobody writes one. */
const DEEPEST = 4

function walk(nodes: readonly RootContent[], visit: (node: RootContent) => void, depth = 0): void {
  for (const node of nodes) {
    visit(node)
    if (depth < DEEPEST && (node.type === 'blockquote' || node.type === 'list' || node.type === 'listItem')) {
      walk(node.children, visit, depth + 1)
    }
  }
}
