// Prints what a first visit downloads, and fails when the first JavaScript outgrows its budget.
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const BUDGET_KB = 150
const dist = new URL('../dist/', import.meta.url)
const assets = new URL('assets/', dist)
const kb = (url) => gzipSync(readFileSync(url)).length / 1000
const html = readFileSync(new URL('index.html', dist), 'utf8')
const files = readdirSync(assets).filter((name) => /\.(js|css)$/.test(name))
const sizes = files.map((name) => ({ name, kb: kb(new URL(name, assets)), first: html.includes(name) }))

for (const { name, kb: size, first } of sizes.sort((a, b) => b.kb - a.kb)) {
  console.log(`${size.toFixed(1).padStart(7)} kB gzip  ${first ? 'first' : 'later'}  ${name}`)
}
const sum = (wanted) => sizes.filter(wanted).reduce((total, { kb: size }) => total + size, 0)
const first = sum(({ name, first: is }) => is && name.endsWith('.js'))
const all = sum(({ name }) => name.endsWith('.js'))
console.log(`initial JavaScript ${first.toFixed(1)} kB gzip of ${BUDGET_KB}; every page and the Markdown reader together ${all.toFixed(1)} kB`)
if (first > BUDGET_KB) {
  console.error(`error: the initial JavaScript is over its budget of ${BUDGET_KB} kB`)
  process.exit(1)
}
