// A tree of Markdown nodes to Vue nodes. Text stays text here: nothing in this file makes HTML from a string,
// and an element or attribute that is not named here cannot appear.
import type { Definition, List, ListItem, Nodes, Paragraph, PhrasingContent, RootContent, Table } from 'mdast'
import type {} from 'mdast-util-math'
import { h, type Component, type VNode, type VNodeArrayChildren } from 'vue'
import { chat } from '../texts/chat'
import { safeHref } from './links'

const words = () => chat.texts.value.markdown

export interface RenderContext {
  definitions: ReadonlyMap<string, Definition>
  codeBlock: Component
  math: Component
}

/** Deeper nesting than this is an attack or an accident; its text is shown plainly. */
const DEEPEST = 24

type Child = VNode | string

export function renderBlocks(nodes: readonly RootContent[], context: RenderContext): Child[] {
  return children(nodes, context, 0)
}

function children(nodes: readonly Nodes[], context: RenderContext, depth: number): Child[] {
  return nodes.flatMap((node) => {
    const made = one(node, context, depth)
    return made === null ? [] : [made]
  })
}

function one(node: Nodes, context: RenderContext, depth: number): Child | null {
  if (depth > DEEPEST) return plainText(node)
  const inner = (): VNodeArrayChildren => ('children' in node ? children(node.children, context, depth + 1) : [])
  switch (node.type) {
    case 'text': return node.value
    case 'paragraph': return paragraph(node, context, depth)
    // Title and message are headings of the first two kinds; models begin with # as often as with ##.
    case 'heading': return h(`h${Math.min(6, Math.max(3, node.depth + 1))}`, { class: `md-h${node.depth}` }, inner())
    case 'emphasis': return h('em', inner())
    case 'strong': return h('strong', inner())
    case 'delete': return h('del', inner())
    case 'inlineCode': return h('code', node.value)
    case 'break': return h('br')
    case 'thematicBreak': return h('hr')
    case 'blockquote': return h('blockquote', inner())
    case 'code': return h(context.codeBlock, { code: node.value, lang: node.lang ?? '' })
    case 'math': return h(context.math, { tex: node.value, display: true })
    case 'inlineMath': return h(context.math, { tex: node.value })
    case 'html': return h('span', { class: 'md-raw' }, node.value)
    case 'list': return list(node, context, depth)
    case 'table': return table(node, context, depth)
    case 'link': return link(node.url, inner())
    case 'image': return image(node.url, node.alt)
    case 'linkReference': return link(context.definitions.get(node.identifier)?.url ?? '', inner())
    case 'imageReference': return image(context.definitions.get(node.identifier)?.url ?? '', node.alt)
    case 'footnoteReference': return h('sup', { class: 'md-note' }, node.label ?? node.identifier)
    case 'footnoteDefinition': return h('div', { class: 'md-footnote' }, [h('sup', node.label ?? node.identifier), h('div', inner())])
    default: return null
  }
}

/** A formula alone in its lines stands by itself. */
function paragraph(node: Paragraph, context: RenderContext, depth: number): VNode {
  const [only, ...more] = node.children
  if (only?.type === 'inlineMath' && more.length === 0) return h(context.math, { tex: only.value, display: true })
  return h('p', children(node.children, context, depth + 1))
}

function link(address: string, inner: VNodeArrayChildren): VNode {
  const href = safeHref(address)
  if (!href) return h('span', { class: 'md-dead-link' }, inner)
  // The title shows where it leads: the words of a link can say anything.
  return h('a', { href, title: href, target: '_blank', rel: 'noopener noreferrer nofollow' }, inner)
}

/** Loading a picture would tell its server who reads this answer, so it is only a link. */
function image(address: string, alt: string | null | undefined): VNode {
  return link(address, [h('span', { class: 'md-image' }, words().image), alt || words().noDescription])
}

function list(node: List, context: RenderContext, depth: number): VNode {
  const items = node.children.map((item) => listItem(item, node.spread ?? false, context, depth + 1))
  if (!node.ordered) return h('ul', items)
  return h('ol', node.start != null && node.start !== 1 ? { start: node.start } : null, items)
}

function listItem(item: ListItem, spread: boolean, context: RenderContext, depth: number): VNode {
  const inner = item.children.flatMap((child): Child[] =>
    // In a tight list the words stand in the item itself, without the space of a paragraph.
    child.type === 'paragraph' && !spread && !item.spread
      ? children(child.children, context, depth + 1)
      : children([child], context, depth + 1))
  if (item.checked == null) return h('li', inner)
  const mark = h('span', { class: ['md-check', item.checked && 'is-done'], role: 'img', 'aria-label': item.checked ? words().done : words().toDo })
  return h('li', { class: 'md-task' }, [mark, h('div', inner)])
}

function table(node: Table, context: RenderContext, depth: number): VNode {
  const [head, ...body] = node.children
  const row = (cells: typeof head, tag: 'th' | 'td') => h('tr', cells?.children.map((cell, column) =>
    h(tag, { class: alignClass(node.align?.[column]), scope: tag === 'th' ? 'col' : undefined },
      children(cell.children as PhrasingContent[], context, depth + 3))))
  // The box scrolls when a table is wider than the page; a keyboard reaches it by tab.
  return h('div', { class: 'md-table', tabindex: 0, role: 'group', 'aria-label': words().table }, [
    h('table', [h('thead', [row(head, 'th')]), h('tbody', body.map((cells) => row(cells, 'td')))]),
  ])
}

function alignClass(align: string | null | undefined): string | undefined {
  return align ? `is-${align}` : undefined
}

/** Without recursion, since depth is what makes the tree dangerous. */
function plainText(node: Nodes): string {
  let text = ''
  const open: Nodes[] = [node]
  for (let next = open.pop(); next; next = open.pop()) {
    if ('value' in next) text += next.value
    else if ('children' in next) open.push(...[...next.children].reverse())
  }
  return text
}
