// What can go wrong between the page and its gateway: each has a calm state and a way on.
export const about = 'a socket that sends nonsense, a gateway that is gone, an ended session, a full disk'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', 'seed=7,tokens_per_second=20,answer_tokens=100,slots=4']] }
/** The browser tells of each connection and request that failed here, as it should. */
export const allow = [/ERR_CONNECTION|WebSocket connection to|status of (401|502|503|507)|ERR_EMPTY_RESPONSE|ERR_SOCKET/]

const NONSENSE = ['', 'null', '[]', '{', '{"type":"piece"}', '{"type":"done","turn":5}', '{"type":"__proto__"}', '"x"', '{"type":"accepted","conversation":null}',
  '{"type":"swarm","nodes":"many","models":{}}', 'x'.repeat(100_000), '{"type":"hello","version":"three"}', '{"type":"piece","turn":"t","from":-1,"seq":1e999,"text":{}}']

export const steps = {
  'a socket that sends nonsense between the frames does not disturb an answer': async ({ page, ask, finished, expect }) => {
    await page.routeWebSocket(/\/api\/chat/, (socket) => {
      const server = socket.connectToServer()
      let count = 0
      server.onMessage((message) => {
        socket.send(message)
        count += 1
        socket.send(NONSENSE[count % NONSENSE.length])
        if (count % 5 === 0) socket.send(Buffer.from([0, 255, 1]))
      })
    })
    await page.reload()
    await page.waitForSelector('textarea')
    await ask('A story')
    expect(await page.$('.notice.is-warn') === null, 'no trouble is shown')
    expect((await page.innerText(`${finished} .md`)).length > 100, 'the answer is there')
  },
  'a full disk at the gateway: the reason is said, and the words are back in the box': async ({ page, expect }) => {
    await page.routeWebSocket(/\/api\/chat/, (socket) => {
      const server = socket.connectToServer()
      socket.onMessage((message) => {
        const frame = JSON.parse(message)
        if (frame.type !== 'ask') return server.send(message)
        const error = { code: 'storage_full', message: "the gateway's disk is full: tell its operator", field: null }
        socket.send(JSON.stringify({ type: 'failed', turn: null, request: frame.request, conversation: frame.conversation, error, message: null }))
      })
    })
    await page.reload()
    await page.waitForSelector('.composer textarea')
    await page.fill('.composer textarea', 'Words that must not be lost')
    await page.waitForSelector('.composer-go:not(:disabled)')
    await page.press('.composer textarea', 'Enter')
    await page.waitForSelector('.notice.is-warn')
    await page.waitForFunction(() => document.querySelector('.composer textarea').value === 'Words that must not be lost')
    expect((await page.innerText('.notice.is-warn')).includes('disk is full'), 'the reason is said')
  },
  'and a refused request says the same': async ({ page, axe }) => {
    await page.route('**/api/conversations/*', (route) => (route.request().method() === 'PATCH'
      ? route.fulfill({ status: 507, json: { error: { code: 'storage_full', message: "the gateway's disk is full: tell its operator" } } }) : route.continue()))
    await page.click('.tune')
    await page.fill('dialog input[name=temperature]', '0.5')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .form-error')
    await axe('a refused form')
    await page.keyboard.press('Escape')
    await page.unrouteAll()
  },
  'the gateway is killed: the page says that it is away, and keeps what is written': async ({ page, swarm, expect, axe }) => {
    await page.fill('.composer textarea', 'half a thought')
    await swarm.kill('gateway')
    await page.waitForSelector('.banner.is-calm')
    await axe('without a gateway')
    expect(await page.inputValue('.composer textarea') === 'half a thought', 'the words are there')
  },
  'it comes back, and so does the page, by itself': async ({ page, swarm }) => {
    await swarm.startGateway(new URL(swarm.url).host)
    await page.waitForSelector('.banner.is-calm', { state: 'detached' })
    await page.waitForSelector('.composer-go:not(:disabled)')
  },
  'the session is ended elsewhere: the page asks to sign in and leads back, with the draft': async ({ page, url, api, fillDoor, who, expect }) => {
    const before = page.url()
    // The token made with the first account counts at a gateway that was started again, too.
    await api('DELETE', '/api/sessions')
    await page.waitForURL(/\/sign-in/)
    expect((await page.innerText('.notice')).length > 0, 'it says why')
    await fillDoor({ username: who.name, password: who.password })
    await page.waitForURL(before)
    await page.waitForFunction(() => document.querySelector('.composer textarea')?.value === 'half a thought')
    return url
  },
}
