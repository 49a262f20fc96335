// A computer comes in: an invite on the page, the real program with it, and a page that turns green.
export const about = 'an invite is made, a node joins with it, and the page turns green and says how it does'
export const swarm = { nodes: [] }

let invite = ''
export const steps = {
  'the page of an empty swarm leads to it': async ({ page, axe }) => {
    await page.click('.swarm-badge')
    await page.click('.swarm-empty a[href="/add-node"]')
    await page.waitForURL(/\/add-node$/)
    await page.waitForSelector('input[name=max_uses]')
    await axe('before the invite')
  },
  'an invite is made, with a line for each system and a code for a camera': async ({ page, axe, expect }) => {
    await page.fill('input[name=label]', 'the kitchen')
    await page.click('button[type=submit]')
    await page.waitForSelector('.qr')
    const command = await page.innerText('.join .command code')
    expect(/^\.\/starling-node join starling-invite-\S+$/.test(command), `the line: ${command.slice(0, 60)}`)
    invite = command.split(' ').at(-1)
    await page.click('.choice label:has-text("Windows")')
    await page.waitForFunction(() => document.querySelector('.join .command code')?.textContent.startsWith('.\\starling-node.exe join'))
    await page.waitForSelector('.wait-words')
    await axe('waiting')
  },
  'a node joins with it, and the page turns green': async ({ page, axe, swarm: here, expect }) => {
    here.invite = invite
    await here.startNode('kitchen', [])
    await page.waitForSelector('.wait.is-here')
    await page.waitForSelector('.arrival .node-sheet')
    const said = await page.innerText('.arrival')
    expect(/kitchen is here and serves/.test(said) && /Device/.test(said) && /Network/.test(said), said)
    await axe('a node is here')
  },
  'it is in the list of one’s own nodes and of the operator': async ({ page, url, axe }) => {
    await page.goto(`${url}/my-nodes`)
    await page.waitForSelector('.my-node:has-text("kitchen") .tag:text-is("serving")')
    await axe('my nodes')
    await page.goto(`${url}/operator/invites`)
    await page.waitForSelector('.key:has-text("the kitchen") .tag:text-is("used up")')
  },
  'a worker brings one in too, and sees that one alone': async ({ page, api, url, signOut, fillDoor, inChat, axe, swarm: here, expect }) => {
    const { text } = await api('POST', '/api/invitations', { role: 'worker' })
    await signOut()
    await page.goto(`${url}/sign-up#invitation=${text}`)
    await fillDoor({ username: 'noah', password: 'three unrelated words' })
    await inChat()
    await page.click('.account')
    await page.click('[role=menuitem]:has-text("My nodes")')
    await page.waitForSelector('text=None yet.')
    await page.click('a[href="/add-node"]')
    await page.click('button[type=submit]')
    await page.waitForSelector('.qr')
    here.invite = (await page.innerText('.join .command code')).split(' ').at(-1)
    await here.startNode('garage', [])
    await page.waitForSelector('.arrival:has-text("garage is here and serves")')
    await page.click('a[href="/my-nodes"]')
    await page.waitForSelector('.my-node:has-text("garage")')
    expect((await page.locator('.my-node').count()) === 1, 'and no other')
    await axe('a worker’s nodes')
  },
}
