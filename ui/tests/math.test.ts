import { nextTick } from 'vue'
import { describe, expect, it, vi } from 'vitest'
import { withMathMarks } from '../src/markdown/mathMarks'
import { mathNode } from '../src/markdown/math'
import { highlighted } from '../src/markdown/highlight'
import { drawn } from './drawn'

async function settled(text: string, selector: string): Promise<HTMLElement> {
  const root = drawn(text)
  await vi.waitFor(() => expect(root.querySelector(selector)).not.toBeNull(), { timeout: 10_000 })
  await nextTick()
  return root
}

describe('marks of mathematics', () => {
  it.each([
    ['a \\(x^2\\) b', 'a $$x^2$$ b'],
    ['a $x^2$ b', 'a $$x^2$$ b'],
    ['\\[\nx\n\\]', '$$\nx\n$$'],
    ['1. so\n   \\[ x \\]\nend', '1. so\n   $$\n   x\n   $$\nend'],
    ['see \\[x\\] here', 'see $$x$$ here'],
    ['$$x$$ and $y$', '$$x$$ and $$y$$'],
  ])('%j are brought into one form', (from, to) => expect(withMathMarks(from)).toBe(to))

  it.each([
    'costs $5 and $10', 'US$5 or US$6', 'from $5-$10', 'a $ b $ c', '`\\(x\\)`', '```\n$x$\n```', '```\n$x$', '\\$5 and \\$6$',
    '\\(never closed', '\\( \\)', 'one $x\n\ny$ two', '', '$', '\\', '`', '~~gone~~ $5',
  ])('%j is left alone', (text) => expect(withMathMarks(text)).toBe(text))

  it('runs once over a text that is made to hurt', () => {
    const began = performance.now()
    for (const piece of ['\\(', '$x', '`', '``` ', '\\[a', '~', '$$', '`'.repeat(7) + 'a']) withMathMarks(piece.repeat(20_000))
    expect(performance.now() - began).toBeLessThan(5000)
  })
})

describe('mathematics', () => {
  it('becomes MathML', async () => {
    const root = await settled('Then \\(\\frac{a}{b}\\) and\n\n$$\n\\sum_{i=1}^n i\n$$', 'mfrac')
    expect(root.querySelector('math mfrac')?.textContent).toBe('ab')
    expect(root.querySelector('.md-math math')?.getAttribute('display')).toBe('block')
    expect(root.querySelector('[style], annotation, a')).toBeNull()
  })

  it('has letters of other alphabets as characters', async () => {
    const root = await settled('\\(\\mathbb{E} \\mathbb{R} \\mathbf{v}_1 \\mathcal{L} \\mathrm{d}x\\)', 'math')
    for (const letter of ['𝔼', 'ℝ', '𝐯', 'ℒ', 'd']) expect(root.querySelector('math')?.textContent).toContain(letter)
    expect(root.querySelector('[mathvariant]:not([mathvariant=normal])')).toBeNull()
  })

  it('is shown as it was written where it cannot be read', () => {
    expect(mathNode('\\frac{', false)).toBeNull()
    expect(mathNode('\\def\\a{\\a\\a}\\a', false)).toBeNull()
    expect(mathNode('x'.repeat(20_000), false)).toBeNull()
  })

  it.each(['\\href{javascript:alert(1)}{x}', '\\url{https://evil.example}', '\\includegraphics{https://evil.example/x.png}',
    '\\htmlStyle{position:fixed}{x}', '\\htmlData{x=1}{y}', '\\colorbox{red}{x}', '\\fcolorbox{red}{blue}{x}', '\\text{<img src=x onerror=alert(1)>}'])(
    '%s brings no link, style or element of its own', async (tex) => {
      const root = await settled(`A \\(${tex}\\) b and \\(y\\).`, 'math')
      expect(root.querySelector('a, img, script, [style], [href], [src], [onerror], [data-x]')).toBeNull()
    })
})

describe('code', () => {
  it('gets colours by classes alone', () => {
    const root = highlighted('const x = "<b>"', 'js') ?? []
    expect(root.length).toBeGreaterThan(1)
    expect(JSON.stringify(root.map((part) => (typeof part === 'string' ? part : part.props)))).not.toContain('style')
  })
  it('stays plain in a language nobody knows, and when it is long', () => {
    expect(highlighted('x', 'no-such-language')).toBeNull()
    expect(highlighted('x'.repeat(40_000), 'js')).toBeNull()
  })
})
