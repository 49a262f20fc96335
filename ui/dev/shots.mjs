// Pictures of every page of the chat, light and dark, on a desk and on a phone, against the made-up gateway:
// `npm run build && node dev/shots.mjs DIR [NAME…]`. To be looked at.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [dir = 'shots', ...only] = process.argv.slice(2)
const PORT = Number(process.env.PORT ?? 8123)
const url = `http://127.0.0.1:${PORT}`
mkdirSync(dir, { recursive: true })

const seed = [['Why do starlings flock?', 0], ['A packing list for Norway in June', 0], ['Rust: lifetimes in a trait object', 1], ['Letter to the landlord', 3], ['Recipe without eggs', 5], ['Explain Kademlia to a child', 12], ['Names for a boat', 60]]
const mock = (what) => fetch(`${url}/mock`, { method: 'POST', body: JSON.stringify(what) })
const api = (page, method, path, body) => page.evaluate(async ([m, p, b]) => (await fetch(p, { method: m, headers: { 'content-type': 'application/json' }, body: JSON.stringify(b) })).json(), [method, path, body])

async function signIn(page) {
  await page.goto(`${url}/sign-in`)
  await page.fill('input[name=username]', 'mira')
  await page.fill('input[name=password]', 'some words here')
  await page.click('button[type=submit]')
  await page.waitForSelector('.composer textarea')
}
async function ask(page, text, done = true) {
  await page.fill('.composer textarea', text)
  await page.waitForSelector('.composer-go:not(:disabled)')
  await page.press('.composer textarea', 'Enter')
  if (done) await page.waitForSelector('.answer:not(.is-running) .answer-actions', { timeout: 60_000 })
}
const character = (name, system_prompt, greeting) => ({ name, system_prompt, greeting, sampling: { temperature: null, top_p: null, max_tokens: null }, shared: name === 'Ada' })

/** Each begins signed in, in a new chat. */
const scenes = {
  empty: async () => {},
  chat: async (page) => { await ask(page, 'Explain hole punching, please'); await page.waitForSelector('math'); await page.waitForSelector('.hljs-keyword') },
  code: async (page) => { await ask(page, 'Explain hole punching, please'); await page.waitForSelector('math'); await page.locator('figure.code').scrollIntoViewIfNeeded(); await page.locator('.answer-foot').scrollIntoViewIfNeeded() },
  moved: async (page) => { await ask(page, 'Moved to another node'); await page.click('.went-on summary') },
  running: async (page) => { await ask(page, 'Long story', false); await page.waitForSelector('.answer.is-running .md p') },
  waiting: async (page) => { await ask(page, 'wait for it', false); await page.waitForSelector('.answer-status') },
  failed: async (page) => { await ask(page, 'lost in the middle') },
  away: async (page) => { await ask(page, 'What is the swarm?'); await mock({ down: true }); await page.waitForSelector('.banner'); },
  models: async (page) => { await page.click('button.picker'); await page.waitForSelector('.menu-list') },
  parameters: async (page) => { await page.click('.tune'); await page.waitForSelector('dialog textarea') },
  palette: async (page) => { await page.keyboard.press('Control+K'); await page.waitForSelector('.palette-item') },
  shortcuts: async (page) => { await page.keyboard.press('Control+/'); await page.waitForSelector('.shortcuts') },
  menu: async (page, phone) => { if (phone) await page.click('.page-menu'); await page.click('.account'); await page.waitForSelector('.menu-list') },
  drawer: async (page, phone) => { if (phone) { await page.click('.page-menu'); await page.waitForSelector('.shell-side.is-open') } },
  delete: async (page, phone) => { if (phone) await page.click('.page-menu'); await page.locator('.item').first().hover(); await page.locator('.item-menu button').first().click(); await page.click('.menu-item.is-danger'); await page.waitForSelector('dialog') },
  characters: async (page) => { await page.goto(`${url}/characters`); await page.waitForSelector('.character') },
  character: async (page) => { await page.goto(`${url}/characters`); await page.locator('.page-head .button').click(); await page.waitForSelector('dialog') },
  memory: async (page) => { await page.goto(`${url}/memory`); await page.waitForSelector('.memory') },
  swarm: async (page, phone) => { if (phone) await page.click('.page-menu'); await page.click('.swarm-badge'); await page.waitForSelector('.swarm-canvas.is-upper') },
  missing: async (page) => { await page.goto(`${url}/nowhere`); await page.waitForSelector('.trouble') },
  'no-node': async (page) => { await mock({ swarm: 'none' }); await page.waitForSelector('.card') },
  german: async (page, phone) => { await page.keyboard.press('Control+K'); await page.waitForSelector('.palette-item'); await page.keyboard.type('Deutsch'); await page.keyboard.press('Enter'); await page.waitForSelector('html[lang=de]'); if (phone) await page.click('.page-menu') },
  door: async (page) => { await mock({ expire: true }); await page.goto(`${url}/sign-in`); await page.waitForSelector('input[name=password]') },
  setup: async (page) => { await page.context().clearCookies(); await page.evaluate(() => localStorage.clear()); await mock({ reset: 'setup' }); await page.goto(`${url}/setup#code=TEST-CODE`); await page.waitForSelector('input[name=code]') },
}

async function shoot(browser, name, look, phone) {
  await mock({ reset: 'in', swarm: 'rich', seed, down: false })
  const context = await browser.newContext({ viewport: phone ? { width: 360, height: 740 } : { width: 1280, height: 800 }, colorScheme: look, locale: process.env.LOCALE ?? 'en-GB', hasTouch: phone, deviceScaleFactor: Number(process.env.SCALE ?? 1), serviceWorkers: 'block' })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  await signIn(page)
  for (const one of [['Ada', 'You explain mathematics with patience and examples.', 'What shall we look at?'], ['Captain', 'You are an old sailor and tell stories of storms.', 'Ahoy. Sit down.'], ['Reviewer', 'You review code: short, precise, friendly.', '']]) await api(page, 'POST', '/api/characters', character(...one))
  for (const text of ['I live in Bergen and ride a green bicycle.', 'My sister is called Noor and studies geology.', 'I prefer metric units and short answers.']) await api(page, 'POST', '/api/memories', { text })
  await page.reload()
  await page.waitForSelector('.composer textarea')
  await page.waitForSelector('.ideas')
  await scenes[name](page, phone)
  await page.waitForTimeout(350)
  await page.screenshot({ path: join(dir, `${name}-${look}-${phone ? 'phone' : 'desk'}.png`) })
  await context.close()
}

const server = spawn('node', [new URL('mock.mjs', import.meta.url).pathname], { env: { ...process.env, PORT: String(PORT) }, stdio: ['ignore', 'pipe', 'inherit'] })
await new Promise((there) => server.stdout.once('data', there))
const browser = await chromium.launch({ executablePath: process.env.STARLING_CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] })
try {
  for (const name of only.length > 0 ? only : Object.keys(scenes)) {
    for (const look of (process.env.LOOKS ?? 'light,dark').split(',')) {
      for (const phone of (process.env.SIZES ?? 'desk,phone').split(',').map((size) => size === 'phone')) {
        await shoot(browser, name, look, phone).catch((error) => console.log(`${name} ${look}: ${error.message.split('\n')[0]}`))
      }
    }
    console.log(name)
  }
} finally {
  await browser.close()
  server.kill()
}
