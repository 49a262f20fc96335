// An invitation, an account made with it, and what happens when it is used twice.
export const about = 'somebody is invited, makes an account, and it is theirs alone'
export const swarm = { nodes: [] }
/** The gateway refuses a second use of the invitation. */
export const allow = [/status of 403/]

let link = ''
export const steps = {
  'an administrator makes an invitation': async ({ api, url, signOut }) => {
    const { text } = await api('POST', '/api/invitations', { role: 'user' })
    link = `${url}/sign-up#invitation=${text}`
    await signOut()
  },
  'its link opens the form, with the invitation in it and out of the address': async ({ page, axe }) => {
    await page.goto(link)
    await page.waitForFunction(() => document.querySelector('input[name=invitation]')?.value.length > 0 && location.hash === '')
    await axe()
  },
  'a password that is too short is told of at its field': async ({ page, fillDoor }) => {
    await fillDoor({ username: 'mira', password: 'short' })
    await page.waitForSelector('.field.is-wrong .field-error')
  },
  'the account is made and lands in the chat': async ({ fillDoor, inChat, page, expect }) => {
    await fillDoor({ username: 'mira', password: 'three unrelated words' })
    await inChat()
    expect((await page.innerText('.account-name')) === 'mira', 'it is mira’s page')
  },
  'the same invitation makes no second account': async ({ page, signOut, fillDoor }) => {
    await signOut()
    await page.goto(link)
    await fillDoor({ username: 'noah', password: 'three unrelated words' })
    await page.waitForSelector('.field-error, .form-error')
  },
}
// A short password is refused with 400, which the browser's console tells of.
allow.push(/status of 400/)
