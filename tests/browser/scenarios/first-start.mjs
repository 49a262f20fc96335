// The first minutes of a person against a real gateway and the demo model.
export const about = 'first start, a prompt, its answer, a reload, out and in again'
export const setUp = false

const QUESTION = 'What is the swarm?'
const seen = {}

/** Notes each length the answer has had, before anything is asked: a small model is done within a few frames. */
async function noteGrowth(page) {
  await page.evaluate(() => {
    window.answerLengths = []
    new MutationObserver(() => {
      const length = document.querySelector('.answer .md')?.textContent.length ?? 0
      if (length > 0 && window.answerLengths.at(-1) !== length) window.answerLengths.push(length)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
}

async function sameConversation({ page, expect, finished }) {
  await page.waitForSelector(finished)
  expect(await page.innerText('.said-text') === QUESTION, 'the question is there')
  // The reader of Markdown comes a moment after the text.
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.innerText === text, [`${finished} .md`, seen.answer])
  expect(await page.innerText(`${finished} .facts-node`) === seen.node, 'the node is there')
}

export const steps = {
  'the link of the console opens the first start with its code': async ({ page, url, code, expect, axe }) => {
    await page.goto(`${url}/setup#code=${encodeURIComponent(code)}`)
    await page.waitForSelector('input[name=code]')
    expect(await page.inputValue('input[name=code]') === code, 'the code is in its field')
    await page.waitForFunction(() => location.hash === '')
    await axe()
  },
  'the first administrator is made and lands in the chat': async ({ who, fillDoor, inChat, axe }) => {
    await fillDoor({ username: who.name, password: who.password })
    await inChat()
    await axe()
  },
  'a node is there, and the page says that its model is a demo': async ({ page }) => {
    await page.waitForFunction(() => /\b1 node\b/.test(document.querySelector('.swarm-badge')?.textContent ?? ''))
    await page.waitForSelector('.demo-note')
  },
  'a prompt is answered, and the answer comes in pieces': async ({ page, expect, finished, ask, axe }) => {
    await noteGrowth(page)
    await ask(QUESTION)
    seen.answer = await page.innerText(`${finished} .md`)
    expect(seen.answer.trim().length > 0, 'the answer has words')
    const lengths = await page.evaluate(() => window.answerLengths)
    // Not more: a small model may be done between two frames, and a closing ** takes letters away.
    expect(lengths.length > 0, 'the answer was seen while it grew')
    expect(await page.$('.notice.is-warn') === null, 'no trouble is shown')
    await axe()
    return `seen at ${lengths.length} lengths, up to ${lengths.at(-1)} letters`
  },
  'the answer says which node gave it, how it was reached and how fast it was': async ({ page, expect, finished }) => {
    const facts = await page.$$eval(`${finished} .facts li`, (items) => items.map((item) => item.textContent.trim()))
    expect(facts[0]?.length > 0, 'the node has a name')
    expect(facts.includes('direct') || facts.includes('relayed'), `a path is among ${facts}`)
    expect(facts.some((fact) => fact.endsWith('demo')), `the demo model is marked among ${facts}`)
    expect(facts.some((fact) => /tokens?$/.test(fact)), `tokens are counted among ${facts}`)
    seen.node = facts[0]
    return facts.join(', ')
  },
  'the conversation has an address and stands in the list': async ({ page }) => {
    await page.waitForURL(/\/c\/[^/]+$/)
    seen.conversation = page.url()
    await page.waitForSelector(`.item-link[href="${new URL(seen.conversation).pathname}"]`)
  },
  'a reload keeps the question, the answer and the node': async (world) => {
    await world.page.reload()
    await sameConversation(world)
  },
  'a second question goes into the same conversation': async ({ page, ask, expect }) => {
    await ask('6 times 8')
    expect(page.url() === seen.conversation, 'the address stays')
  },
  'signing out leads to the door and closes it': async ({ page, signOut, expect, axe }) => {
    await signOut()
    await page.goto(seen.conversation)
    await page.waitForURL(/\/sign-in/)
    expect(!(await page.innerText('body')).includes(QUESTION), 'nothing of the chat is left to see')
    await axe()
  },
  'signing in leads back to the conversation': async (world) => {
    await world.fillDoor({ username: world.who.name, password: world.who.password })
    await world.page.waitForURL(seen.conversation)
    await sameConversation(world)
  },
}
