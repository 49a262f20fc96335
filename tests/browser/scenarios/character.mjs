// A character is made, talked to, changed and deleted.
export const about = 'a character with its greeting, from its form to a conversation'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', 'seed=5,tokens_per_second=0,answer_tokens=24,slots=4']] }

export const steps = {
  'a character is made': async ({ page, url, axe }) => {
    await page.goto(`${url}/characters`)
    await page.locator('.page-head .button').click()
    await page.waitForSelector('dialog[open] input[name=name]')
    await axe('the form')
    await page.fill('input[name=name]', 'Mara')
    await page.fill('textarea[name=system]', 'You are a patient teacher.')
    await page.fill('textarea[name=greeting]', 'Hello, what shall we learn?')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('.character')
    await axe('the list')
  },
  'a conversation with it begins with its greeting': async ({ page }) => {
    await page.locator('.character-actions .button').first().click()
    await page.waitForURL(/\/c\/[^/]+$/)
    await page.waitForSelector('.answer:has-text("Hello, what shall we learn?")')
    await page.waitForSelector('.with-character:has-text("Mara")')
  },
  'it is answered there': async ({ ask, axe }) => {
    await ask('Verbs')
    await axe()
  },
  'it is deleted, and the conversation stays': async ({ page, url }) => {
    const conversation = page.url()
    await page.goto(`${url}/characters`)
    await page.locator('.character-actions .button').last().click()
    await page.locator('dialog .is-danger').click()
    await page.waitForSelector('.character', { state: 'detached' })
    await page.goto(conversation)
    await page.waitForSelector('.answer:has-text("Hello, what shall we learn?")')
  },
}
