// What the steps of a scenario work with: one page, its swarm, and the things that people do again and again.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const axeSource = readFileSync(createRequire(new URL('../../../ui/package.json', import.meta.url)).resolve('axe-core/axe.min.js'), 'utf8')

/** An answer that is whole. */
export const finished = '.answer:not(.is-running)'

export function expect(holds, what) {
  if (!holds) throw new Error(what)
}

export function makeWorld({ page, context, swarm, wrongs }) {
  const who = { name: 'admin', password: 'a long enough password' }
  const world = {
    page, context, swarm, wrongs, who, expect, finished,
    get url() { return swarm.url },
    get origin() { return swarm.origin },
    get code() { return swarm.code },

    /** Makes the first account; ends in the chat. */
    async setUp() {
      await page.goto(`${swarm.url}/setup#code=${encodeURIComponent(swarm.code)}`)
      await page.waitForSelector('input[name=code]')
      await world.fillDoor({ username: who.name, password: who.password })
      await world.inChat()
    },
    async signIn(name = who.name, password = who.password) {
      await page.goto(`${swarm.url}/sign-in`)
      await world.fillDoor({ username: name, password })
      await world.inChat()
    },
    async fillDoor(fields) {
      for (const [name, value] of Object.entries(fields)) await page.fill(`input[name=${name}]`, value)
      await page.click('button[type=submit]')
    },
    async inChat() {
      await page.waitForURL(/\/c(\/|$)/)
      await page.waitForSelector('textarea')
    },

    /** Puts a question; `wait` false returns when it is on its way. */
    async ask(text, wait = true) {
      const before = await page.locator(finished).count()
      await page.fill('.composer textarea', text)
      await page.waitForSelector('.composer-go:not(:disabled):not(.is-stop)')
      await page.press('.composer textarea', 'Enter')
      if (wait) await page.waitForFunction(([selector, count]) => document.querySelectorAll(selector).length > count, [finished, before])
    },
    /** The answer that grows has at least so many letters. */
    async grown(letters) {
      await page.waitForFunction((least) => (document.querySelector('.answer.is-running .md')?.textContent.length ?? 0) >= least, letters)
    },
    async signOut() {
      await page.click('.account')
      await page.locator('[role=menuitem]').last().click()
      await page.waitForURL(/\/sign-in/)
    },

    /** A request of the API as the signed-in administrator, from outside of the page. */
    async api(method, path, body) {
      world.token ??= await token()
      const headers = { authorization: `Bearer ${world.token}`, 'content-type': 'application/json', origin: swarm.origin }
      const response = await fetch(`${swarm.url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      const text = await response.text()
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 200)}`)
      return text ? JSON.parse(text) : null
    },

    /** No violation of axe's rules in what is shown, in any of the WCAG 2.2 levels A and AA and its best practices. */
    async axe(what = page.url()) {
      // Nothing in the middle of a movement: a colour that fades has any contrast.
      await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect?.getComputedTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {}))))
      if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axeSource)
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
      const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.target.join(' ')} (${node.any[0]?.message ?? node.failureSummary})`).join(', ')}`)
      expect(told.length === 0, `axe at ${what}: ${told.join('; ')}`)
    },
    /** The page is no wider than its window. */
    async fits() {
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
      expect(wide <= room, `the page is ${wide} px wide in a window of ${room} px`)
      // What stands out on the left cannot be scrolled to, and words need room for more than a letter.
      const odd = await page.evaluate(() => [...document.querySelectorAll('main *, .menu-list, dialog[open]')].filter((element) => {
        const box = element.getBoundingClientRect()
        if (box.width === 0 || box.height === 0 || element.closest('svg, math, .visually-hidden, pre, table, [aria-hidden=true]')) return false
        // A strip that was scrolled has its beginning beyond the edge.
        for (let above = element.parentElement; above; above = above.parentElement) if (above.scrollLeft > 0) return false
        const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim().length > 12)
        return box.left < -1 || (words && box.width < 40)
      }).slice(0, 3).map((element) => `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 30)}`))
      expect(odd.length === 0, `these do not fit: ${odd.join('; ')}`)
    },
  }

  async function token() {
    const response = await fetch(`${swarm.url}/api/session`, {
      method: 'POST', headers: { 'content-type': 'application/json', origin: swarm.origin },
      body: JSON.stringify({ username: who.name, password: who.password }),
    })
    return (await response.json()).access_token
  }
  return world
}
