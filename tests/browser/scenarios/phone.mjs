// A phone, 360 pixels wide, and each page on it.
export const about = 'every page fits a phone of 360 px, and the list is a drawer there'
export const viewport = { width: 360, height: 740 }

export const steps = {
  'a chat fits': async ({ ask, fits, axe }) => {
    await fits()
    await ask('What is the swarm?')
    await fits()
    await axe()
  },
  'the list opens over it, keeps the focus, and closes with Esc': async ({ page, expect, axe }) => {
    await page.click('.page-menu')
    await page.waitForSelector('.shell-side.is-open')
    await axe('the drawer')
    expect(await page.evaluate(() => document.querySelector('.shell-side').contains(document.activeElement)), 'the focus is in it')
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.activeElement?.classList.contains('page-menu'))
  },
  'a memory has room for its words': async ({ page, url, api, fits }) => {
    await api('POST', '/api/memories', { text: 'I live in Bergen and ride a green bicycle to work every day.' })
    await page.goto(`${url}/memory`)
    await page.waitForSelector('.memory')
    await fits()
  },
  'every other page fits too': async ({ page, url, fits, axe }) => {
    for (const path of ['characters', 'memory', 'keys', 'account', 'operator/overview', 'operator/people', 'operator/nodes', 'operator/invites', 'operator/models', 'operator/limits', 'operator/audit', 'add-node', 'my-nodes', 'no-such-page']) {
      await page.goto(`${url}/${path}`)
      await page.waitForSelector('main h1')
      await page.waitForLoadState('networkidle')
      await fits()
      await axe(path)
    }
  },
}
