// A person's own account: examples for programs, everything as a file, and the end of it.
import { readFile } from 'node:fs/promises'

export const about = 'a key with examples that work as they stand, all one’s data as a file, and an account that is deleted'
export const allow = [/status of 403/]

export const steps = {
  'a key is made, and the example asks the gateway as it stands': async ({ page, url, axe, expect }) => {
    await page.goto(`${url}/account`)
    await page.waitForSelector('.thing')
    await axe('account')
    await page.click('.thing[href="/keys"]')
    await page.fill('input[name=label]', 'laptop')
    await page.click('.key-form button')
    await page.waitForSelector('.secret code')
    const key = await page.innerText('.secret code')
    await page.click('.choice label:has-text("Python")')
    await page.waitForFunction((secret) => document.querySelector('.try pre')?.textContent.includes(`api_key="${secret}"`), key)
    await axe('keys')
    const models = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
    expect(models.status === 200, `the key opens /v1: ${models.status}`)
  },
  'all that is mine comes as one file': async ({ page, url, ask, expect }) => {
    await page.goto(`${url}/c`)
    await ask('What is the swarm?')
    await page.goto(`${url}/account`)
    const download = page.waitForEvent('download')
    await page.click('button:text-is("Download my data")')
    const file = await download
    expect(file.suggestedFilename() === 'starling-admin.json', file.suggestedFilename())
    const all = JSON.parse(await readFile(await file.path(), 'utf8'))
    expect(all.format === 'starling-account' && all.account.person.username === 'admin', 'whose it is')
    expect(all.conversations[0].messages[0].text === 'What is the swarm?', 'what was said')
    await page.waitForSelector('text=It is in your downloads.')
  },
  'the only administrator is told why the account stays': async ({ page, who, axe }) => {
    await page.click('button:has-text("Delete my account")')
    await page.fill('input[name=password]', 'a wrong password')
    await page.click('button:text-is("Delete it for good")')
    await page.waitForSelector('.field.is-wrong .field-error')
    await axe('the wrong password')
    await page.fill('input[name=password]', who.password)
    await page.click('button:text-is("Delete it for good")')
    await page.waitForSelector('.form-error')
  },
  'somebody else’s is gone at once': async ({ page, api, url, signOut, fillDoor, inChat }) => {
    const { text } = await api('POST', '/api/invitations', {})
    await signOut()
    await page.goto(`${url}/sign-up#invitation=${text}`)
    await fillDoor({ username: 'mira', password: 'three unrelated words' })
    await inChat()
    await page.goto(`${url}/account`)
    await page.click('button:has-text("Delete my account")')
    await page.locator('section:has(button:text-is("Delete it for good")) input').fill('three unrelated words')
    await page.click('button:text-is("Delete it for good")')
    await page.waitForURL(/\/sign-in/)
  },
}
/** The last administrator's account stays. */
allow.push(/status of 409/)
