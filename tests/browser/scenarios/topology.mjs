// A swarm of fifty nodes, watched: from above, one by one, as a list, and back in time.
import { Crowd } from '../lib/crowd.mjs'

export const about = 'fifty nodes in a picture and a list, an answer that moves when its node dies, and ten minutes to look back'
export const swarm = { nodes: [] }
const NODES = 50
const SCRIPT = 'seed=7,tokens_per_second=20,answer_tokens=400,slots=2'

let crowd = null
const event = (words) => `.swarm-log .swarm-events li:has-text("${words}")`

/** Light and colour at that place of the picture, of both canvases. */
const drawn = (page) => page.evaluate(() => [...document.querySelectorAll('.swarm-canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  let inked = 0
  for (let i = 3; i < data.length; i += 4) inked += data[i] > 0 ? 1 : 0
  return inked
}))

export const steps = {
  'the badge of the sidebar leads to the swarm, which is empty': async ({ page, axe }) => {
    await page.click('.swarm-badge')
    await page.waitForURL(/\/swarm$/)
    await page.waitForSelector('.swarm-empty')
    await axe()
  },
  'fifty nodes come, and the picture shows them': async ({ page, swarm, expect, axe }) => {
    crowd = await Crowd.start(swarm, SCRIPT)
    crowd.order('start', NODES)
    await page.waitForFunction((count) => document.querySelector('.swarm-totals')?.textContent.startsWith(`${count} nodes`), NODES)
    await page.waitForSelector(event('is here'))
    await page.waitForFunction(() => /picture: 50 nodes/.test(document.querySelector('.swarm-canvas.is-upper').getAttribute('aria-label')))
    const [still] = await drawn(page)
    expect(still > 5_000, `the picture has ${still} inked pixels`)
    await axe()
    return `${still} pixels are inked`
  },
  'an answer begins, and its tokens flow': async ({ page, api, expect }) => {
    const { secret } = await api('POST', '/api/keys', { label: 'topology' })
    crowd.asking = crowd.ask(secret)
    await page.check('.swarm-log-head input')
    await page.waitForSelector(event('begins on'))
    await page.waitForFunction(() => Number(/([\d,]+) tokens\/s/.exec(document.querySelector('.swarm-totals').textContent)?.[1]) > 0)
    const [, moving] = await drawn(page)
    expect(moving > 0, 'something moves')
  },
  'its node dies, and the answer moves over': async ({ page, expect }) => {
    // Which of the fifty has it is seen by its load; nodes end in the order in which they came.
    while ((await page.$(event('moves over'))) === null) {
      crowd.order('kill', 5)
      const seen = await Promise.race([
        page.waitForSelector(event('moves over')).then(() => 'moved'),
        page.waitForFunction((gone) => document.querySelectorAll('.swarm-log .swarm-mark.is-bad').length >= gone, crowd.killed).then(() => 'gone'),
      ])
      if (seen === 'moved') break
      expect(crowd.killed < NODES - 4, 'a node with an answer was among them')
    }
    await page.waitForSelector(event('is gone'))
    return `after ${crowd.killed} nodes`
  },
  'one looks back at it, and the moment stands still': async ({ page, expect, axe }) => {
    await page.click(`${event('moves over')} button`)
    await page.waitForSelector('.swarm-ago')
    await page.click('.swarm-time > .button-icon')
    await page.waitForSelector('.swarm-time > .button-icon[aria-label="Play"]')
    const nodes = () => page.textContent('.swarm-totals')
    const then = await nodes()
    await page.focus('.swarm-strip input')
    await page.keyboard.press('ArrowLeft')
    await page.waitForFunction(() => /ago/.test(document.querySelector('.swarm-strip input').getAttribute('aria-valuetext')))
    await axe()
    await page.click('.swarm-live')
    await page.waitForSelector('.swarm-live.is-live')
    expect(then.includes('nodes'), then)
    return then
  },
  'arrow keys go from peer to peer, and all about one is told': async ({ page, axe, expect }) => {
    await page.focus('.swarm-canvas.is-upper')
    for (let i = 0; i < 6; i += 1) await page.keyboard.press('ArrowRight')
    await page.waitForSelector('.swarm-panel .node-facts')
    await axe()
    const facts = await page.innerText('.swarm-panel')
    expect(facts.includes('Round trip') || facts.includes('Slots taken'), facts)
    await page.focus('.swarm-canvas.is-upper')
    await page.keyboard.press('Escape')
    await page.waitForSelector('.swarm-panel', { state: 'detached' })
  },
  'the list has the same peers, sorts them and opens one': async ({ page, expect, axe }) => {
    await page.getByRole('button', { name: 'List' }).click()
    await page.waitForSelector('.swarm-table tbody tr')
    const rows = await page.locator('.swarm-table tbody tr').count()
    const told = Number(/^\d+/.exec(await page.innerText('.swarm-find .num'))[0])
    expect(rows === told && rows > 3, `${rows} rows of ${told} peers`)
    await page.getByRole('button', { name: 'Slots taken' }).click()
    await page.waitForSelector('th[aria-sort=descending]')
    await axe()
    await page.fill('.swarm-find input', 'bootstrap')
    await page.waitForFunction(() => document.querySelectorAll('.swarm-table tbody tr').length === 1)
    await page.fill('.swarm-find input', '')
    await page.locator('.swarm-table tbody th button').first().click()
    await page.waitForSelector('.swarm-panel')
    await axe()
    await page.click('.swarm-panel-head button')
    return `${rows} peers`
  },
  'it fits a phone, also in the dark': async ({ page, fits, axe }) => {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
    await fits()
    await page.getByRole('button', { name: 'Picture' }).click()
    await page.waitForSelector('.swarm-canvas.is-upper')
    await fits()
    await axe()
    await crowd.stop()
  },
}
