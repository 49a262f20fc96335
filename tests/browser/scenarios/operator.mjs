// Whoever runs the gateway goes through each of the operator's pages and does there what they are for; somebody else
// sees none of it.
export const about = 'an administrator sees figures, drains a node, makes and withdraws invites, reads the log; others get a calm page and a 403'

const tabs = { overview: 'Overview', people: 'People', nodes: 'Nodes', invites: 'Invites', models: 'Models', limits: 'Limits', audit: 'Audit log' }
/** What only an administrator may ask for. */
const closed = ['/api/figures', '/api/limits', '/api/members', '/api/invites', '/api/invitations', '/api/users', '/api/audit']

const tab = async ({ page }, name) => {
  await page.click(`.tab:text-is("${tabs[name]}")`)
  await page.waitForURL(new RegExp(`/operator/${name}$`))
  await page.waitForFunction(() => !document.body.innerText.includes('Loading…'))
}
const confirmed = async ({ page }, words) => {
  await page.click(`dialog[open] button:text-is("${words}")`)
  await page.waitForSelector('dialog[open]', { state: 'detached' })
}

export const steps = {
  'the menu leads to the operator’s pages, and axe finds nothing on any': async (world) => {
    const { page, axe } = world
    await world.ask('What is the swarm?')
    await page.click('.account')
    await axe('the menu')
    await page.click('[role=menuitem]:has-text("Operator")')
    await page.waitForURL(/\/operator\/overview$/)
    for (const name of Object.keys(tabs)) {
      await tab(world, name)
      await axe(name)
    }
  },
  'the charts come, can be read with the keys and as a table': async (world) => {
    const { page, axe, expect } = world
    await tab(world, 'overview')
    await page.waitForSelector('.chart')
    expect((await page.locator('.chart').count()) === 5, 'five charts')
    await page.focus('.chart-frame')
    await page.keyboard.press('End')
    await page.waitForFunction(() => /all answers together/.test(document.querySelector('.chart [role=status]')?.textContent ?? ''))
    await page.click('.chart-table summary')
    await page.waitForSelector('.chart-rows tbody tr')
    await axe('charts')
    await page.click('.choice label:has-text("Last day")')
    await page.waitForFunction(() => document.querySelector('input[value=day]')?.checked)
    await axe('the last day')
  },
  'a node is found, drained, and let serve again': async (world) => {
    const { page, axe, expect, api } = world
    await tab(world, 'nodes')
    await page.fill('#machine-search', 'nobody is called so')
    await page.waitForSelector('text=Nobody matches.')
    await page.fill('#machine-search', 'node-1')
    const machine = page.locator('.machine', { hasText: 'node-1' })
    await machine.locator('summary').click()
    await machine.locator('.node-sheet').first().waitFor()
    await axe('all about a node')
    await machine.locator('button:text-is("Drain")').click()
    await machine.locator('.tag:text-is("drained")').waitFor()
    expect((await api('GET', '/api/swarm')).nodes[0].drained, 'the gateway knows it')
    await machine.locator('button:text-is("Resume")').click()
    await machine.locator('button:text-is("Drain")').waitFor()
    await machine.locator('button:text-is("Turn out")').click()
    await page.waitForSelector('dialog[open]')
    await axe('the question')
    await confirmed(world, 'Keep it')
    expect((await api('GET', '/api/swarm')).nodes.length === 1, 'it is still here')
  },
  'an invite is made, shown once, and revoked': async (world) => {
    const { page, axe, expect } = world
    await tab(world, 'invites')
    await page.fill('input[name=label]', 'the lab')
    await page.fill('input[name=max_uses]', '3')
    await page.click('button:text-is("Make an invite")')
    await page.waitForSelector('.secret code')
    expect((await page.innerText('.secret code')).startsWith('starling-invite-'), 'its text')
    await axe('a new invite')
    const invite = page.locator('.key', { hasText: 'the lab' })
    await invite.locator('button').click()
    await confirmed(world, 'Revoke')
    await invite.locator('.tag:text-is("revoked")').waitFor()
    await page.fill('input[name=max_uses]', 'many')
    await page.click('button:text-is("Make an invite")')
    await page.waitForSelector('.field.is-wrong .field-error, .form-error')
  },
  'an invitation is made and withdrawn': async (world) => {
    const { page, axe } = world
    await tab(world, 'people')
    await page.fill('input[name=label]', 'for Ada')
    await page.click('button:text-is("Make an invitation")')
    await page.waitForSelector('.secret code')
    await axe('a new invitation')
    await page.locator('.key', { hasText: 'for Ada' }).locator('button').click()
    await confirmed(world, 'Withdraw')
    await page.waitForSelector('text=No invitation is open.')
  },
  'the log has it, and only that when asked': async (world) => {
    const { page, expect } = world
    await tab(world, 'audit')
    await page.selectOption('#audit-action', 'node_drained')
    await page.waitForFunction(() => [...document.querySelectorAll('.list tbody tr')].length === 1)
    expect(/admin[\s\S]*drained a node/.test(await page.innerText('.list tbody tr')), 'who did what')
  },
  'somebody else gets a calm page, no link, and a 403 from the API': async (world) => {
    const { page, axe, expect, api, signOut, url, fillDoor, inChat, origin } = world
    const { text } = await api('POST', '/api/invitations', { role: 'user' })
    await signOut()
    await page.goto(`${url}/sign-up#invitation=${text}`)
    await fillDoor({ username: 'mira', password: 'three unrelated words' })
    await inChat()
    await page.click('.account')
    expect((await page.locator('[role=menuitem]:has-text("Operator")').count()) === 0, 'no link')
    for (const path of ['operator', 'operator/audit', 'add-node']) {
      await page.goto(`${url}/${path}`)
      await page.waitForSelector('.not-for-you')
      await axe(path)
    }
    const headers = { 'content-type': 'application/json', origin }
    const entered = await fetch(`${url}/api/session`, { method: 'POST', headers, body: JSON.stringify({ username: 'mira', password: 'three unrelated words' }) })
    const { access_token: token } = await entered.json()
    for (const path of closed) {
      const { status } = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })
      expect(status === 403, `${path} answered ${status}`)
    }
  },
}
/** A count that is none is refused with 400, which the browser's console tells of. */
export const allow = [/status of 400/]
