import { describe, expect, it } from 'vitest'
import { GrowingText, parse } from '../src/markdown/parse'
import { drawn, growing } from './drawn'

describe('Markdown', () => {
  it('shows the usual things', () => {
    const root = drawn('# Title\n\nSome *em* **strong** ~~gone~~ `code`  \nnext\n\n> quote\n\n---\n\n1. one\n2. two\n\n- [x] done\n- [ ] open')
    expect(root.querySelector('h3.md-h1')?.textContent).toBe('Title')
    for (const tag of ['em', 'strong', 'del', 'p > code', 'br', 'blockquote', 'hr', 'ol > li', 'ul > li.md-task']) {
      expect(root.querySelector(tag), tag).not.toBeNull()
    }
    expect([...root.querySelectorAll('[role=img]')].map((el) => el.getAttribute('aria-label'))).toEqual(['done', 'to do'])
  })

  it('shows tables with their alignment', () => {
    const root = drawn('| a | b |\n|:--|--:|\n| 1 | 2 |')
    expect([...root.querySelectorAll('th')].map((cell) => cell.className)).toEqual(['is-left', 'is-right'])
    expect(root.querySelectorAll('td')).toHaveLength(2)
  })

  it('shows code as it is, with its language and a button', () => {
    const root = drawn('```rust\nlet x = "<b>";\n```')
    expect(root.querySelector('pre code')?.textContent).toBe('let x = "<b>";')
    expect(root.querySelector('figcaption')?.textContent).toContain('rust')
    expect(root.querySelector('button')?.getAttribute('aria-label')).toBe('Copy: code')
  })

  it('opens links elsewhere and tells them nothing', () => {
    for (const text of ['[x](https://example.org/a)', '<https://example.org/a>', 'https://example.org/a', '[x][r]\n\n[r]: https://example.org/a']) {
      const link = drawn(text).querySelector('a')
      expect(link?.getAttribute('href'), text).toBe('https://example.org/a')
      expect(link?.getAttribute('rel')).toContain('noopener noreferrer')
      expect(link?.getAttribute('target')).toBe('_blank')
    }
    expect(drawn('[m](mailto:a@example.org)').querySelector('a')?.getAttribute('href')).toBe('mailto:a@example.org')
  })

  it('shows a picture as a link and never loads it', () => {
    const root = drawn('![a cat](https://example.org/cat.png)')
    expect(root.querySelector('img')).toBeNull()
    expect(root.querySelector('a')?.textContent).toBe('imagea cat')
  })

  it('shows HTML as text', () => {
    const root = drawn('a <b>bold</b> word\n\n<div onclick="x()">block</div>')
    expect(root.querySelector('b')).toBeNull()
    expect(root.textContent).toContain('<b>')
    expect(root.textContent).toContain('<div onclick="x()">block</div>')
  })
})

describe('a growing text', () => {
  const text = 'First paragraph.\n\n## Second\n\n- one\n- two\n\n```js\nlet a = 1\n\nlet b = 2\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\nThe last, with [a link][r].\n\n[r]: https://example.org/\n'

  it('ends as the whole text would be drawn, whatever the pieces were', async () => {
    const whole = drawn(text).innerHTML
    for (const step of [1, 3, 7, 40]) {
      const { root, set } = growing()
      for (let end = step; end < text.length; end += step) await set(text.slice(0, end))
      await set(text)
      await set(text, false)
      expect(root.innerHTML).toBe(whole)
    }
  })

  it('has the same blocks as a full parse at every point', () => {
    const growth = new GrowingText()
    for (let end = 1; end <= text.indexOf('The last'); end += 1) {
      const part = text.slice(0, end)
      expect(growth.grow(part).map((b) => b.type), JSON.stringify(part)).toEqual(parse(part).children.map((b) => b.type))
    }
  })

  it('keeps settled blocks, so that they are not drawn again', () => {
    const growth = new GrowingText()
    const [first] = growth.grow('One.\n\nTwo')
    const later = growth.grow('One.\n\nTwo and more.\n\nThree')
    expect(later[0]).toBe(first)
    expect(later).toHaveLength(3)
  })

  it('begins again when the text is another one', () => {
    const growth = new GrowingText()
    growth.grow('One.\n\nTwo.\n\nThree')
    expect(growth.grow('Other')).toHaveLength(1)
  })

  it('survives depth and length', () => {
    const deep = drawn(`${'>'.repeat(3000)} deep`)
    expect(deep.textContent).toContain('deep')
    expect(deep.querySelectorAll('blockquote').length).toBeLessThan(40)
    expect(drawn(`${'- '.repeat(200)}x`).textContent).toContain('x')
    expect(drawn('['.repeat(2000)).textContent).toContain('[[[')
  })
})
