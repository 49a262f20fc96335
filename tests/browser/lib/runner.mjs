// One scenario from its swarm to its end: starts both, watches over the page, runs the steps.
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pageFromDisk } from './disk.mjs'
import { Swarm } from './swarm.mjs'
import { makeWorld } from './world.mjs'

const LIMIT_MS = 60_000
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // A page that was put in place of the gateway's own has no address of its own, and so may not speak to this machine.
  ...(process.env.STARLING_UI ? ['--disable-features=LocalNetworkAccessChecks'] : [])]
const shots = process.env.STARLING_SHOTS
const { chromium } = createRequire(new URL('../../../ui/package.json', import.meta.url))('playwright-core')

export function launch() {
  return chromium.launch({ executablePath: process.env.STARLING_CHROMIUM ?? '/usr/bin/chromium', args: ARGS })
}

export async function run(browser, name, scenario) {
  console.log(`\n${name}: ${scenario.about}`)
  let swarm = null
  let context = null
  try {
    swarm = await Swarm.start(scenario.swarm)
    context = await browser.newContext({
      viewport: scenario.viewport ?? { width: 1280, height: 800 }, colorScheme: scenario.colorScheme ?? 'light',
      locale: scenario.locale ?? 'en-GB', reducedMotion: scenario.reducedMotion ?? 'no-preference',
      // A worker answers before a test can: only the scenario that is about it has one.
      serviceWorkers: scenario.worker && !process.env.STARLING_UI ? 'allow' : 'block',
    })
    const world = await open(context, swarm, scenario)
    if (scenario.setUp !== false) await world.setUp()
    return await allSteps(name, scenario.steps, world)
  } catch (error) {
    console.log(`FAIL ${name} did not begin: ${error.message}`)
    return false
  } finally {
    await context?.close()
    await swarm?.stop()
  }
}

async function open(context, swarm, scenario) {
  const wrongs = []
  await watchOver(context, swarm.origin, wrongs, scenario.allow ?? [])
  if (process.env.STARLING_UI) await pageFromDisk(context, swarm.origin, process.env.STARLING_UI)
  context.setDefaultTimeout(LIMIT_MS)
  return makeWorld({ page: await context.newPage(), context, swarm, wrongs })
}

async function allSteps(name, steps, world) {
  let number = 0
  for (const [what, step] of Object.entries(steps)) {
    number += 1
    try {
      const remark = await step(world)
      if (world.wrongs.length > 0) throw new Error(world.wrongs.join('; '))
      console.log(`ok   ${what}${remark ? ` (${remark})` : ''}`)
    } catch (error) {
      console.log(`FAIL ${what}: ${error.message}${world.wrongs.length > 0 ? `; ${world.wrongs.join('; ')}` : ''}`)
      return false
    } finally {
      if (shots) await picture(world.page, name, number)
    }
  }
  return true
}

async function picture(page, name, number) {
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}-${String(number).padStart(2, '0')}.png`) }).catch(() => {})
}

/** Everything the page says or asks for that a healthy page would not, in every page of the context. */
async function watchOver(context, origin, wrongs, allow) {
  const wrong = (what) => { if (!allow.some((pattern) => pattern.test(what))) wrongs.push(what) }
  await context.exposeBinding('starlingViolation', (_, what) => wrong(`content policy: ${what}`))
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      globalThis.starlingViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sample} (${event.sourceFile}:${event.lineNumber})`)
    })
  })
  context.on('console', (message) => {
    if (message.type() === 'error') wrong(`console: ${message.text()} (${message.location().url})`)
  })
  context.on('weberror', (error) => wrong(`uncaught: ${error.error().message}`))
  context.on('dialog', (dialog) => {
    wrong(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  context.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url())
    if (to !== origin && protocol !== 'data:' && protocol !== 'blob:') wrong(`a request to another origin: ${request.url()}`)
  })
  context.on('page', (page) => page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) wrong(`a socket to another host: ${socket.url()}`)
  }))
}
