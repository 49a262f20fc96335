// The dark theme on each page: as the system says, and as it is picked.
export const about = 'dark as the system says, light when it is picked, and enough contrast in both'
export const colorScheme = 'dark'

const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
const brightness = (colour) => colour.match(/[\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)

export const steps = {
  'the page follows a dark system, with contrast everywhere': async ({ page, url, ask, axe, expect }) => {
    expect(brightness(await ground(page)) < 200, 'the ground is dark')
    await ask('What is the swarm?')
    await axe('the chat')
    for (const path of ['characters', 'memory', 'keys', 'account', 'operator/overview', 'operator/nodes', 'add-node']) {
      await page.goto(`${url}/${path}`)
      await page.waitForSelector('main h1')
      await page.waitForLoadState('networkidle')
      await axe(path)
    }
  },
  'light is picked and stays after a reload': async ({ page, expect }) => {
    await page.click('.account')
    await page.locator('[role=menuitemradio]').nth(1).click()
    expect(brightness(await ground(page)) > 600, 'the ground is light')
    await page.reload()
    await page.waitForSelector('main h1')
    expect(brightness(await ground(page)) > 600, 'and it still is')
  },
}
