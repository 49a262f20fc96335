// The first minutes of a person in a real browser against a real gateway and node: first start, a prompt, the
// answer as it comes, a reload, out and in again. Run: node tests/browser/first-prompt.mjs URL CODE
// With STARLING_SHOTS=DIR each step leaves a picture there; STARLING_CHROMIUM names another browser.
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const LIMIT_MS = 30_000
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync']
const QUESTION = 'What is the swarm?'
const WHO = { name: 'admin', password: 'a long enough password' }

const [url, code] = process.argv.slice(2)
if (!url || !code) {
  console.error('error: the address of a gateway and its one-time code are missing')
  console.error('hint: node tests/browser/first-prompt.mjs http://127.0.0.1:8080 CODE')
  process.exit(2)
}
const origin = new URL(url).origin
const { chromium } = createRequire(new URL('../../ui/package.json', import.meta.url))('playwright-core')
const shots = process.env.STARLING_SHOTS
if (shots) mkdirSync(shots, { recursive: true })

const wrongs = []
const seen = {}
let passed = 0

function expect(holds, what) {
  if (!holds) throw new Error(what)
}

/** Everything the page says or asks for that a healthy page would not. */
function watchOver(page) {
  page.on('console', (message) => {
    if (message.type() === 'error') wrongs.push(`console: ${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => wrongs.push(`uncaught: ${error.message}`))
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url())
    if (to !== origin && protocol !== 'data:') wrongs.push(`a request to another origin: ${request.url()}`)
  })
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) wrongs.push(`a socket to another host: ${socket.url()}`)
  })
}

/** Notes each length the answer has had, before anything is asked: a small model is done within a few frames. */
async function noteGrowth(page) {
  await page.evaluate(() => {
    window.answerLengths = []
    new MutationObserver(() => {
      const length = document.querySelector('.answer .md')?.textContent.length ?? 0
      if (length > 0 && window.answerLengths.at(-1) !== length) window.answerLengths.push(length)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
}

async function fillDoor(page, fields) {
  for (const [name, value] of Object.entries(fields)) await page.fill(`input[name=${name}]`, value)
  await page.click('button[type=submit]')
}

const finished = '.answer:not(.is-running)'

const steps = {
  'the link of the console opens the first start with its code': async (page) => {
    await page.goto(`${url}/setup#code=${encodeURIComponent(code)}`)
    await page.waitForSelector('input[name=code]')
    expect(await page.inputValue('input[name=code]') === code, 'the code is in its field')
    await page.waitForFunction(() => location.hash === '')
  },
  'the first administrator is made and lands in the chat': async (page) => {
    await fillDoor(page, { username: WHO.name, password: WHO.password })
    await page.waitForURL(`${origin}/c`)
    await page.waitForSelector('textarea')
  },
  'a node is there, and the page says that its model is a demo': async (page) => {
    await page.waitForFunction(() => /\b1 node\b/.test(document.querySelector('.swarm-badge')?.textContent ?? ''))
    await page.waitForSelector('.demo-note')
  },
  'a prompt is answered, and the answer comes in pieces': async (page) => {
    await noteGrowth(page)
    await page.fill('textarea', QUESTION)
    await page.waitForSelector('.composer-go:not(:disabled)')
    await page.press('textarea', 'Enter')
    await page.waitForSelector(finished)
    seen.answer = await page.innerText(`${finished} .md`)
    expect(seen.answer.trim().length > 0, 'the answer has words')
    const lengths = await page.evaluate(() => window.answerLengths)
    // Not more: a small model may be done between two frames, and a closing ** takes letters away.
    expect(lengths.length > 0, 'the answer was seen while it grew')
    expect(await page.$('.notice.is-warn') === null, 'no trouble is shown')
    return `seen at ${lengths.length} lengths, up to ${lengths.at(-1)} letters`
  },
  'the answer says which node gave it, how it was reached and how fast it was': async (page) => {
    const facts = await page.$$eval(`${finished} .facts li`, (items) => items.map((item) => item.textContent.trim()))
    expect(facts[0]?.length > 0, 'the node has a name')
    expect(facts.includes('direct') || facts.includes('relayed'), `a path is among ${facts}`)
    expect(facts.some((fact) => fact.endsWith('demo')), `the demo model is marked among ${facts}`)
    expect(facts.some((fact) => /tokens?$/.test(fact)), `tokens are counted among ${facts}`)
    seen.node = facts[0]
    return facts.join(', ')
  },
  'the conversation has an address and stands in the list': async (page) => {
    await page.waitForURL(/\/c\/[^/]+$/)
    seen.conversation = page.url()
    await page.waitForSelector(`.item-link[href="${new URL(seen.conversation).pathname}"]`)
  },
  'a reload keeps the question, the answer and the node': async (page) => {
    await page.reload()
    await sameConversation(page)
  },
  'a second question goes into the same conversation': async (page) => {
    await page.fill('textarea', '6 times 8')
    await page.waitForSelector('.composer-go:not(:disabled)')
    await page.click('.composer-go')
    await page.waitForFunction((selector) => document.querySelectorAll(selector).length === 2, finished)
    expect(page.url() === seen.conversation, 'the address stays')
  },
  'signing out leads to the door and closes it': async (page) => {
    await page.click('.account')
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.waitForURL(/\/sign-in/)
    await page.goto(seen.conversation)
    await page.waitForURL(/\/sign-in/)
    expect(!(await page.innerText('body')).includes(QUESTION), 'nothing of the chat is left to see')
  },
  'signing in leads back to the conversation': async (page) => {
    await fillDoor(page, { username: WHO.name, password: WHO.password })
    await page.waitForURL(seen.conversation)
    await sameConversation(page)
  },
}

async function sameConversation(page) {
  await page.waitForSelector(finished)
  expect(await page.innerText('.said-text') === QUESTION, 'the question is there')
  // The reader of Markdown comes a moment after the text.
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.innerText === text, [`${finished} .md`, seen.answer])
  expect(await page.innerText(`${finished} .facts-node`) === seen.node, 'the node is there')
}

async function run(page) {
  for (const [name, step] of Object.entries(steps)) {
    try {
      const remark = await step(page)
      if (wrongs.length > 0) throw new Error(wrongs.join('; '))
      passed += 1
      console.log(`ok   ${name}${remark ? ` (${remark})` : ''}`)
    } catch (error) {
      console.log(`FAIL ${name}: ${error.message}`)
      return 1
    } finally {
      if (shots) await page.screenshot({ path: join(shots, `${String(passed).padStart(2, '0')}.png`) })
    }
  }
  return 0
}

const browser = await chromium.launch({ executablePath: process.env.STARLING_CHROMIUM ?? '/usr/bin/chromium', args: ARGS })
let failed = 1
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  page.setDefaultTimeout(LIMIT_MS)
  watchOver(page)
  failed = await run(page)
} finally {
  await browser.close()
}
// A step stands on the one before it, so the first failure ends the run; the steps behind it were not tried.
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
