// What is remembered: a fact is written down, used under an answer, changed and deleted.
export const about = 'a fact is remembered, shown under the answer it was used for, changed and deleted'
export const swarm = { nodes: [
  ['--engine', 'scripted', '--scripted', 'seed=5,tokens_per_second=0,answer_tokens=24,slots=4'],
  ['--engine', 'scripted', '--scripted', 'kind=embedding,dimensions=16,slots=4'],
] }

const FACT = 'My bicycle is green.'
export const steps = {
  'a fact is written down': async ({ page, url, axe }) => {
    await page.goto(`${url}/memory`)
    await page.fill('.key-form input[name=text]', FACT)
    await page.click('.key-form button[type=submit]')
    await page.waitForSelector(`.memory:has-text("${FACT}")`)
    await axe()
  },
  'and changed': async ({ page, axe }) => {
    await page.locator('.memory .button').first().click()
    await page.waitForSelector('dialog[open] textarea')
    await axe('its editor')
    await page.fill('dialog textarea', 'My bicycle is red.')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('.memory:has-text("red")')
  },
  'it is switched off and on': async ({ page, expect }) => {
    const tick = page.locator('.memory-head input[type=checkbox]')
    const asked = page.waitForResponse((response) => response.request().method() === 'PUT' && response.url().endsWith('/api/memory'))
    await tick.click()
    expect((await asked).ok(), 'the gateway took it')
    await page.waitForSelector('.memory-head input:not(:checked):not(:disabled)')
    await tick.click()
    await page.waitForSelector('.memory-head input:checked:not(:disabled)')
  },
  'and deleted': async ({ page }) => {
    await page.locator('.memory .button').last().click()
    await page.locator('dialog .is-danger').click()
    await page.waitForSelector('.memory', { state: 'detached' })
  },
}
