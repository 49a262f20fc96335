// Runs the browser tests: each file in scenarios/ has a swarm of its own and a browser's profile of its own.
//
//   STARLING_PROGRAMS=target/debug node tests/browser/run.mjs [NAME…]
//
// STARLING_CHROMIUM names another browser, STARLING_SHOTS=DIR keeps a picture after each step, STARLING_UI=ui/dist shows
// that page in place of the one inside the gateway (no build of the gateway after a change of the page), STARLING_HOLD
// is the program that ties ours to us (`cargo xtask test` sets it).
//
// A scenario is a module that exports
//
//   about   one line: what it shows
//   swarm   { nodes: [[argument, …], …], gateway: [argument, …] }: `lib/swarm.mjs`; without it one demo node
//   setUp   false where the steps make the first account themselves; otherwise it is made before the first step
//   worker  true lets the page's service worker run, which answers before `page.route` can
//   viewport, colorScheme, locale, reducedMotion   of the browser, where they matter
//   allow   [/…/]: what this scenario brings on itself among console errors (a refused request, for one)
//   steps   { 'what a person sees': async (world) => remark }
//
// The steps share one page and run in order; the first that throws ends the scenario. `world` has `page`, `context`,
// `swarm`, `url`, `origin`, `code`, `who` and all of `lib/world.mjs`: `expect`, `ask`, `axe`, `shot`, … After each step
// the page must have logged no error, thrown nothing, opened no dialog, broken no content policy and asked no other origin.
// Wait for conditions (`page.waitForSelector`, `page.waitForFunction`); every wait has a limit, and none is a fixed time.
import { readdir } from 'node:fs/promises'
import { launch, run } from './lib/runner.mjs'

const scenarios = new URL('./scenarios/', import.meta.url)
const asked = process.argv.slice(2)
const all = (await readdir(scenarios)).filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4)).sort()
const unknown = asked.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`error: there is no scenario ${unknown.join(', ')}`)
  console.error(`hint: there are ${all.join(', ')}`)
  process.exit(2)
}

const browser = await launch()
const failed = []
try {
  for (const name of asked.length > 0 ? asked : all) {
    const scenario = await import(new URL(`${name}.mjs`, scenarios))
    if (!(await run(browser, name, scenario))) failed.push(name)
  }
} finally {
  await browser.close()
}
console.log(failed.length === 0 ? 'all scenarios passed' : `failed: ${failed.join(', ')}`)
process.exit(failed.length === 0 ? 0 : 1)
