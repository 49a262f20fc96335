// Two hundred texts that would run where somebody made HTML of them, through every door there is: nothing runs, nothing
// leaves the origin, and each is shown as the text it is.
import { EVIL, payloads } from '../payloads.mjs'

export const about = `${payloads.length} XSS payloads as message, answer, title, character, file, node, model, memory and label`
const say = encodeURIComponent(payloads.filter((text) => !text.includes(',')).slice(0, 6).join('\n\n')).replaceAll("'", '%27')
export const swarm = {
  nodes: [['--engine', 'scripted', '--scripted', `seed=5,tokens_per_second=200,answer_tokens=8,slots=4,say=${say}`]],
  gateway: ['address', 'user', 'key', 'sign-in'].map((of) => `--limit-${of}=0`),
}
/** Wrong files and names are refused, and the console tells of that. */
export const allow = [/status of 400/]

const line = (text) => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
const cut = (text, bytes) => { let out = text; while (Buffer.byteLength(out) > bytes) out = out.slice(0, -1); return out.trim() || 'x' }

/** Nothing in the page came from a payload's markup: no handler, no address that runs or calls home. */
async function clean({ page, expect }, where) {
  const bad = await page.evaluate((evil) => {
    const runs = (address) => /^\s*(javascript|vbscript|data|blob|file|feed|livescript):/i.test(address)
    return [...document.querySelectorAll('body *')].flatMap((element) => {
      const found = [...element.attributes].filter(({ name, value }) =>
        name.startsWith('on') || name === 'srcdoc' || (['href', 'src', 'action', 'formaction', 'xlink:href', 'srcset', 'poster', 'data'].includes(name) && (runs(value) && !(element.tagName === 'IMG' && value.startsWith('data:image/'))))
        || (name === 'src' && value.includes(evil)))
      const alien = ['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'BASE', 'META', 'LINK', 'STYLE', 'MARQUEE', 'APPLET', 'FRAME'].includes(element.tagName) && !element.closest('head') && !(element.tagName === 'SCRIPT' && element.src.startsWith(location.origin))
      return alien || found.length > 0 ? [element.outerHTML.slice(0, 160)] : []
    })
  }, EVIL)
  expect(bad.length === 0, `${where}: ${bad.join(' … ')}`)
}

async function visit(world, path, ready) {
  await world.page.goto(`${world.url}${path}`)
  await world.page.waitForSelector(ready)
  await world.page.waitForLoadState('networkidle')
  await clean(world, path)
}

let conversation = ''
export const steps = {
  'as messages and as answers, all in one conversation': async (world) => {
    await world.context.exposeBinding('canary', () => world.wrongs.push('a payload has run'))
    const messages = payloads.flatMap((text, at) => [
      { follows: 2 * at, role: 'user', text, created_at_ms: 5, status: 'complete' },
      { follows: 2 * at + 1, role: 'assistant', text, created_at_ms: 5, status: 'complete' },
    ])
    const made = await world.api('POST', '/api/conversations/import', { format: 'starling-conversation', version: 1, title: 'all', created_at_ms: 5, messages })
    conversation = made.conversation.id
    await visit(world, `/c/${conversation}`, '.answer .md:not(.is-plain)')
    const shown = await world.page.locator('.said-text').allTextContents()
    world.expect(shown.length === payloads.length && shown.every((text, at) => text === payloads[at]), 'each is shown as it was written')
    return `${shown.length} of each`
  },
  'in an answer that grows': async (world) => {
    await world.page.goto(`${world.url}/c`)
    await world.ask('<img src=x onerror=canary(1)>')
    await clean(world, 'a growing answer')
  },
  'as titles': async (world) => {
    for (const text of payloads) await world.api('POST', '/api/conversations', { title: cut(line(text), 250) })
    await visit(world, '/c', '.item-link')
    await world.page.locator('.side-more').first().click()
    await world.page.waitForFunction(() => document.querySelectorAll('.item').length > 80)
    await clean(world, 'the list')
    await world.page.keyboard.press('Control+K')
    await world.page.waitForSelector('.palette-item')
    await clean(world, 'the palette')
    await world.page.keyboard.press('Escape')
  },
  'as characters': async (world) => {
    for (const text of payloads.slice(0, 60)) {
      await world.api('POST', '/api/characters', { name: cut(line(text), 60), system_prompt: text, greeting: payloads.at(-1), sampling: { temperature: null, top_p: null, max_tokens: null }, shared: false })
    }
    await visit(world, '/characters', '.character')
    await visit(world, '/c', '.idea.is-character')
  },
  'as names of files': async (world) => {
    await visit(world, '/c', '.side-more')
    for (const text of payloads.filter((one) => !/[\\/\n]/.test(one)).slice(0, 25)) {
      await world.page.setInputFiles('input[type=file]', { name: `${cut(text, 200)}.json`, mimeType: 'application/json', buffer: Buffer.from(JSON.stringify({ format: text, title: text })) })
      await world.page.waitForSelector('.item-failed')
    }
    await clean(world, 'refused files')
  },
  'as names of nodes, devices, GPUs, warnings and models': async (world) => {
    const { page } = world
    await page.route('**/api/swarm', async (route) => {
      const real = await (await route.fetch()).json()
      const [node] = real.nodes
      const gpu = (name) => ({ name, memory: { total: 1, used: 1 }, utilization_percent: 1, temperature_celsius: 1, power_watts: 1 })
      const nodes = payloads.map((text) => ({ ...node, peer: text, name: text, device: text, version: text, warning: text, models: [text], gpus: [gpu(text)] }))
      await route.fulfill({ json: { ...real, nodes } })
    })
    await page.route('**/api/models', async (route) => {
      const real = await (await route.fetch()).json()
      await route.fulfill({ json: { models: payloads.map((id) => ({ ...real.models[0], id })) } })
    })
    await visit(world, '/c', '.picker')
    await page.click('button.picker')
    await page.waitForFunction((count) => document.querySelectorAll('[role=menuitemradio]').length >= count, payloads.length)
    await clean(world, 'the models')
    await page.keyboard.press('Escape')
    await page.unroute('**/api/swarm')
    await page.unroute('**/api/models')
  },
  'as what peers of the swarm call themselves': async (world) => {
    const { page } = world
    const all = payloads.join(' ')
    const says = (_, value) => value?.nat && 'gpu' in value ? { ...value, name: all, gpu: all, version: all, models: [all] }
      : value?.device && 'network' in value ? { ...value, name: all, device: all, version: all, warning: all } : value
    await page.routeWebSocket(/api.chat/, (socket) => {
      socket.connectToServer().onMessage((frame) => socket.send(JSON.stringify(JSON.parse(frame, says))))
    })
    await visit(world, '/swarm', '.swarm-views')
    await page.getByRole('button', { name: 'List' }).click()
    await page.getByText(payloads[0]).first().waitFor()
    await clean(world, 'the list of the swarm')
    await page.locator('.swarm-table tbody th button').first().click()
    await page.waitForSelector('.swarm.has-panel')
    await clean(world, 'a node of the swarm')
  },
  'as memories': async (world) => {
    for (const text of payloads) await world.api('POST', '/api/memories', { text })
    await visit(world, '/memory', '.memory')
  },
  'as labels of keys and invites': async (world) => {
    for (const text of payloads.slice(0, 12)) {
      await world.api('POST', '/api/keys', { label: cut(line(text), 60) })
      await world.api('POST', '/api/invites', { role: 'node', label: cut(line(text), 60) })
      await world.api('POST', '/api/invitations', { role: 'user', label: cut(line(text), 60) })
    }
    await visit(world, '/keys', '.key')
    await visit(world, '/operator/invites', 'main table, main li')
    await visit(world, '/operator/people', 'main table, main li')
  },
  'in the address': async (world) => {
    // What has a dot is the name of a file, and there is none.
    for (const text of payloads.filter((one) => !one.includes('.')).slice(0, 10)) await visit(world, `/c/${encodeURIComponent(text)}`, 'main')
    await visit(world, `/sign-in?next=${encodeURIComponent('javascript:canary(1)')}`, 'main')
    await visit(world, `/setup#code=${encodeURIComponent(payloads[0])}`, 'main')
  },
}
allow.push(/status of 404/)
