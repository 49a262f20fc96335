import { describe, expect, it } from 'vitest'
import { safeHref } from '../src/markdown/links'
import { drawn } from './drawn'

const payloads = [
  '<script>alert(1)</script>',
  '<SCRIPT SRC=//evil.example/x.js></SCRIPT>',
  '<img src=x onerror=alert(1)>',
  '<img src="https://evil.example/pixel.png">',
  '![x](https://evil.example/pixel.png)',
  '![x](javascript:alert(1))',
  '![x][p]\n\n[p]: https://evil.example/pixel.png "onerror=alert(1)"',
  '![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](java&#x0A;script:alert(1))',
  '[x](java\tscript:alert(1))',
  '[x](&#106;&#97;&#118;&#97;&#115;&#99;&#114;&#105;&#112;&#116;&#58;alert(1))',
  '[x](\u0001javascript:alert(1))',
  '[x]( javascript:alert(1))',
  '[x](<javascript:alert(1)>)',
  '[x](vbscript:msgbox(1))',
  '[x](data:text/html,<script>alert(1)</script>)',
  '[x](file:///etc/passwd)',
  '[x](blob:https://evil.example/1)',
  '[x](//evil.example)',
  '[x](/api/session)',
  '[x](#code)',
  '[x][j]\n\n[j]: javascript:alert(1)',
  '<javascript:alert(1)>',
  '<a href="javascript:alert(1)">x</a>',
  '<a href="https://ok.example" onclick="alert(1)">x</a>',
  '[x](https://ok.example "\\" onmouseover=alert(1) x=\\"")',
  '[x](https://ok.example/"onmouseover="alert(1))',
  '[<img src=x onerror=alert(1)>](https://ok.example)',
  '<svg onload=alert(1)>',
  '<svg><script>alert(1)</script></svg>',
  '<math><mtext><style><img src onerror=alert(1)></style></mtext></math>',
  '<iframe src="javascript:alert(1)"></iframe>',
  '<iframe srcdoc="<script>alert(1)</script>">',
  '<object data="data:text/html,<script>alert(1)</script>"></object>',
  '<embed src="https://evil.example/x.swf">',
  '<form action="https://evil.example"><button>x</button></form>',
  '<input autofocus onfocus=alert(1)>',
  '<details open ontoggle=alert(1)>',
  '<video><source onerror=alert(1)></video>',
  '<body onload=alert(1)>',
  '<style>@import "https://evil.example/x.css";</style>',
  '<link rel=stylesheet href=https://evil.example/x.css>',
  '<base href="https://evil.example/">',
  '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<div style="background:url(https://evil.example/x)">x</div>',
  '```html"><script>alert(1)</script>\n<script>alert(2)</script>\n```',
  '``` "onmouseover=alert(1)\nx\n```',
  '`<script>alert(1)</script>`',
  '| <img src=x onerror=alert(1)> | b |\n|--|--|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |',
  '# <img src=x onerror=alert(1)>',
  '- [ ] <img src=x onerror=alert(1)>',
  '[^1]\n\n[^1]: <script>alert(1)</script> [x](javascript:alert(1))',
  '<!--<img src="--><img src=x onerror=alert(1)//">',
  '<![CDATA[<script>alert(1)</script>]]>',
  '<?php echo 1 ?><script>alert(1)</script>',
  '</div></p><script>alert(1)</script>',
  '{{constructor.constructor("alert(1)")()}}',
  '<div v-html="x" @click="alert(1)" :onclick="y">x</div>',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '\u202e<script>alert(1)</script>',
]

const ELEMENTS = new Set(('A BLOCKQUOTE BR BUTTON CODE DEL DIV EM FIGCAPTION FIGURE H3 H4 H5 H6 HR LI OL P PATH PRE SPAN STRONG '
  + 'SUP SVG TABLE TBODY TD TH THEAD TR UL').split(' '))
const ATTRIBUTES = new Set(('aria-hidden aria-label class d focusable href rel role scope start tabindex target title type viewbox').split(' '))

function check(root: HTMLElement): void {
  for (const element of root.querySelectorAll('*')) {
    expect(ELEMENTS, element.tagName).toContain(element.tagName.toUpperCase())
    for (const { name } of element.attributes) expect(ATTRIBUTES, `${element.tagName} ${name}`).toContain(name.toLowerCase())
    const href = element.getAttribute('href')
    if (href !== null) expect(href).toMatch(/^(https?:\/\/|mailto:)/)
    if (element.tagName === 'A') expect(element.getAttribute('rel')).toContain('noopener noreferrer')
  }
}

describe('what a model may not do', () => {
  it.each(payloads)('%s', (payload) => {
    check(drawn(payload))
    check(drawn(`before\n\n> - ${payload}\n\nafter`))
    for (let end = 1; end < payload.length; end += 3) check(drawn(payload.slice(0, end), true))
  })

  it('draws its picture links to the allowed schemes only', () => {
    const links = payloads.flatMap((payload) => [...drawn(payload).querySelectorAll('a')])
    expect(links.length).toBeGreaterThan(0)
    expect(links.every((link) => /^https:/.test(link.href))).toBe(true)
  })

  it('takes no address that is relative, too long or of another scheme', () => {
    for (const address of ['', '/x', '//x', 'x', '#x', '?x', 'javascript:x', ' javascript:x', 'jav\nascript:x', 'ftp://x', 'tel:1', `https://x/${'y'.repeat(3000)}`]) {
      expect(safeHref(address), address).toBeNull()
    }
    expect(safeHref('HTTPS://Example.org')).toBe('https://example.org/')
  })
})
