// How smoothly the page /swarm draws a swarm in headless Chromium with software rendering: the mock gateway feeds it scripted
// nodes with load, tokens, deaths and answers that move. Run: node tests/browser/topology-bench.mjs [NODES…]
// (after `npm run build` in ui). RUNS and SECONDS say how often and how long each size is measured; STARLING_CHROMIUM names
// another browser.
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync']
const SIZE = { width: 1280, height: 800 }
const RUNS = Number(process.env.RUNS ?? 5)
const SECONDS = Number(process.env.SECONDS ?? 10)
/** What is loaded and compiled by then is no part of how it runs. */
const WARM_UP_MS = 3_000
const LIMIT_MS = 60_000
const sizes = process.argv.slice(2).map(Number)
if (sizes.length === 0) sizes.push(50, 500)

const { chromium } = createRequire(new URL('../../ui/package.json', import.meta.url))('playwright-core')

const freePort = () => new Promise((found) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => found(port))
  })
})

/** A gateway made of nothing, with so many nodes. */
async function startMock(nodes) {
  const port = await freePort()
  const mock = spawn(process.execPath, [new URL('../../ui/dev/mock.mjs', import.meta.url).pathname], { env: { ...process.env, PORT: String(port), NODES: String(nodes) }, stdio: ['ignore', 'ignore', 'inherit'] })
  const url = `http://127.0.0.1:${port}`
  const post = (path, body) => fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
  for (let tries = 0; tries < 100; tries += 1) {
    const answered = await post('/mock', { reset: 'signed-out', swarm: 'rich' }).catch(() => null)
    if (answered) break
    await sleep(100)
  }
  return { url, stop: () => mock.kill() }
}

/** Milliseconds between frames as the page's own drawing sees them. */
function frameTimes(page, seconds) {
  return page.evaluate((limit) => new Promise((done) => {
    const times = []
    let last = performance.now()
    const end = last + limit
    const step = (now) => {
      times.push(now - last)
      last = now
      if (now < end) requestAnimationFrame(step)
      else done(times.slice(1))
    }
    requestAnimationFrame(step)
  }), seconds * 1000)
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

function figuresOf(times) {
  const sorted = [...times].sort((a, b) => a - b)
  const all = times.reduce((sum, time) => sum + time, 0)
  return { fps: (1000 * times.length) / all, median: at(sorted, 0.5), p95: at(sorted, 0.95), worst: sorted.at(-1) }
}

async function measure(browser, nodes) {
  const mock = await startMock(nodes)
  try {
    const page = await browser.newPage({ viewport: SIZE })
    page.setDefaultTimeout(LIMIT_MS)
    await page.goto(`${mock.url}/sign-in?next=/swarm`)
    await page.fill('input[name=username]', 'mira')
    await page.fill('input[name=password]', 'a long enough password')
    await page.click('button[type=submit]')
    await page.waitForSelector('.swarm-canvas.is-upper')
    await page.waitForFunction((least) => Number(/\d+/.exec(document.querySelector('.swarm-totals')?.textContent ?? '0')?.[0]) >= least, nodes * 0.8)
    await sleep(WARM_UP_MS)
    const runs = []
    for (let run = 0; run < RUNS; run += 1) runs.push(figuresOf(await frameTimes(page, SECONDS)))
    await page.close()
    return runs
  } finally {
    mock.stop()
  }
}

const browser = await chromium.launch({ executablePath: process.env.STARLING_CHROMIUM ?? '/usr/bin/chromium', args: ARGS })
let slowest = Infinity
try {
  const processors = cpus()
  console.log(`Headless Chromium ${browser.version()}, no GPU, ${SIZE.width}x${SIZE.height}; ${processors.length} × ${processors[0]?.model ?? 'unknown'}; ${RUNS} runs of ${SECONDS} s each. Times between frames in ms; 60 frames/s is the most there can be.\n`)
  console.log('| nodes | frames/s, median of the runs | best run | median frame, ms | p95, ms | best run\'s p95, ms | worst frame, ms |\n|---|---|---|---|---|---|---|')
  for (const nodes of sizes) {
    const runs = await measure(browser, nodes)
    const median = (key) => at(runs.map((run) => run[key]).sort((a, b) => a - b), 0.5)
    const best = runs.reduce((one, other) => (other.fps > one.fps ? other : one))
    slowest = Math.min(slowest, best.fps)
    console.log(`| ${nodes} | ${median('fps').toFixed(1)} | ${best.fps.toFixed(1)} | ${median('median').toFixed(1)} | ${median('p95').toFixed(1)} | ${best.p95.toFixed(1)} | ${Math.max(...runs.map((run) => run.worst)).toFixed(0)} |`)
  }
} finally {
  await browser.close()
}
process.exit(slowest >= 30 ? 0 : 1)
