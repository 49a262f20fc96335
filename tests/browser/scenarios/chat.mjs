// What people do in a chat: Markdown, stop, go on, copy, rename, pin, search, delete, drafts, export.
const SAY = '%23%23 A heading%0a%0a| a | b |%0a|--|--:|%0a| 1 | 2 |%0a%0a```js%0aconst x = 1%0a```%0a%0a**Bold** and `code`.%0a%0a'
export const about = 'an answer with Markdown, stop and go on, and all that can be done with a conversation'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', `seed=3,tokens_per_second=40,answer_tokens=60,slots=4,say=${SAY}`]] }

export const steps = {
  'Markdown becomes elements': async ({ page, ask, axe }) => {
    await ask('Show me something')
    for (const part of ['h3', 'table td', 'figure.code code', 'strong']) await page.waitForSelector(`.answer .md ${part}`)
    await axe()
  },
  'an answer is stopped, and goes on in its place': async ({ page, ask, grown, finished }) => {
    await ask('Say more', false)
    await grown(30)
    await page.keyboard.press('Escape')
    await page.waitForFunction((selector) => document.querySelectorAll(selector).length === 2, finished)
    const before = await page.locator(`${finished} .md`).last().innerText()
    await page.locator('.answer-ending button').click()
    await page.waitForFunction(([selector, letters]) => {
      const last = [...document.querySelectorAll(selector)].at(-1)
      return document.querySelectorAll(selector).length === 2 && last.querySelector('.md').innerText.length > letters
    }, [finished, before.length])
  },
  'what is written and not sent stays with its conversation': async ({ page, expect }) => {
    await page.fill('.composer textarea', 'half a thought')
    await page.click('.side-new')
    await page.waitForURL(/\/c$/)
    expect(await page.inputValue('.composer textarea') === '', 'a new chat has an empty box')
    await page.click('.item-link')
    await page.waitForFunction(() => document.querySelector('.composer textarea')?.value === 'half a thought')
    await page.fill('.composer textarea', '')
  },
  'a conversation is renamed, pinned and found': async ({ page, axe }) => {
    const menu = () => page.locator('.item-menu button').first()
    await menu().click()
    await page.locator('.menu-item').nth(1).click()
    await page.fill('.item-input', 'Starlings at dusk')
    await page.press('.item-input', 'Enter')
    await page.waitForSelector('.item-link:has-text("Starlings at dusk")')
    await menu().click()
    await axe('an open menu')
    await page.locator('.menu-item').first().click()
    await page.waitForSelector('.side-group h2:has-text("Pinned")')
    await page.fill('input[type=search]', 'dusk')
    await page.waitForSelector('.side-group h2:has-text("Found")')
    await page.fill('input[type=search]', '')
  },
  'it is saved as a file, and comes back from it': async ({ page }) => {
    const saved = page.waitForEvent('download')
    await page.locator('.item-menu button').first().click()
    await page.locator('.menu-item').nth(3).click()
    const path = await (await saved).path()
    const before = await page.locator('.item').count()
    await page.setInputFiles('input[type=file]', path)
    await page.waitForFunction((count) => document.querySelectorAll('.item').length > count, before)
    await page.waitForFunction(() => document.querySelectorAll('.said').length === 2)
  },
  'a file that is none of ours says so': async ({ page }) => {
    await page.setInputFiles('input[type=file]', { name: '<img src=x onerror=alert(1)>.json', mimeType: 'application/json', buffer: Buffer.from('no json') })
    await page.waitForSelector('.item-failed')
  },
  'it is deleted after a question': async ({ page, axe }) => {
    const before = await page.locator('.item').count()
    await page.locator('.item-menu button').last().click()
    await page.locator('.menu-item.is-danger').click()
    await page.waitForSelector('dialog[open]')
    await axe('a question before deleting')
    await page.locator('dialog .is-danger').click()
    await page.waitForFunction((count) => document.querySelectorAll('.item').length < count, before)
  },
}
