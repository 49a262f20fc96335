// The page in German, for a browser that asks for it, and back in English by hand.
export const about = 'German for a German browser, English when it is picked'
export const locale = 'de-DE'

export const steps = {
  'the page is German from its first picture on': async ({ page, expect, axe }) => {
    expect(await page.getAttribute('html', 'lang') === 'de', 'the page says its language')
    await page.waitForSelector('.side-new:has-text("Neuer Chat")')
    expect(await page.getAttribute('.composer textarea', 'placeholder') === 'Frag den Schwarm', 'the box is German')
    await axe()
  },
  'English is picked, and stays after a reload': async ({ page }) => {
    await page.click('.account')
    await page.locator('[role=menuitemradio][lang=en]').click()
    await page.waitForSelector('.side-new:has-text("New chat")')
    await page.reload()
    await page.waitForSelector('.side-new:has-text("New chat")')
    await page.waitForSelector('html[lang=en]')
  },
}
