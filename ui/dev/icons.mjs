// Draws the icons of the installed page out of favicon.svg: `node dev/icons.mjs`. They are committed.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const svg = readFileSync(new URL('../public/favicon.svg', import.meta.url), 'utf8')
const browser = await chromium.launch({ executablePath: process.env.STARLING_CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox'] })
const page = await browser.newPage()
async function draw(name, size, drawing, transparent) {
  await page.setViewportSize({ width: size, height: size })
  await page.setContent(`<style>body{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${drawing}`)
  await page.screenshot({ path: new URL(`../public/icons/${name}.png`, import.meta.url).pathname, omitBackground: transparent })
}
await draw('192', 192, svg, true)
await draw('512', 512, svg, true)
// A system cuts its own shape out of this one: colour to the edges, the bird in the middle four fifths.
const square = svg.replace('rx="8"', 'rx="0"').replace('translate(3.6 4.2) scale(.79)', 'translate(6 6.4) scale(.63)')
await draw('maskable-512', 512, square, false)
await draw('apple-180', 180, square, false)
await browser.close()
