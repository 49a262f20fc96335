// Everything by keys: the palette, the help, the parameters, a new branch; and parameters that reach the model.
export const about = 'keyboard only: palette, shortcuts, parameters, a question, a new chat from an answer'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', 'seed=5,tokens_per_second=0,answer_tokens=40,slots=4']] }
export const reducedMotion = 'reduce'

const focused = (page) => page.evaluate(() => document.activeElement?.className ?? '')

export const steps = {
  'Ctrl+/ shows the keys, Esc closes it': async ({ page, axe }) => {
    await page.keyboard.press('Control+/')
    await page.waitForSelector('.shortcuts')
    await axe('the keys')
    await page.keyboard.press('Escape')
    await page.waitForSelector('.shortcuts', { state: 'detached' })
  },
  'Ctrl+K finds a command by its words, Enter does it': async ({ page, axe }) => {
    await page.keyboard.press('Control+K')
    await page.waitForSelector('.palette-item')
    await axe('the palette')
    await page.keyboard.type('memory')
    await page.waitForFunction(() => document.querySelectorAll('.palette-item').length === 1)
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/memory$/)
  },
  'the parameters of the next chat are set by keys alone': async ({ page, axe, expect }) => {
    await page.keyboard.press('Control+Shift+O')
    await page.waitForURL(/\/c$/)
    await page.keyboard.press('Control+K')
    await page.waitForSelector('.palette-item')
    await page.keyboard.type('how it answers')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog textarea[name=system]')
    await axe('the parameters')
    await page.focus('dialog textarea[name=system]')
    await page.keyboard.type('Be brief.')
    await page.keyboard.press('Tab')
    await page.keyboard.type('3')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog .field-error')
    await page.keyboard.press('Backspace')
    await page.keyboard.type('0.5')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.type('7')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog', { state: 'detached' })
    await page.waitForSelector('.tune.is-set')
    expect(true, '')
  },
  '/ leads to the box, Enter asks, and the answer is as long as it may be': async ({ page, api, finished, expect }) => {
    await page.evaluate(() => document.activeElement?.blur())
    await page.keyboard.press('/')
    await page.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA')
    await page.keyboard.type('Tell me')
    await page.waitForSelector('.composer-go:not(:disabled)')
    await page.keyboard.press('Enter')
    await page.waitForSelector(finished)
    await page.waitForURL(/\/c\/[^/]+$/)
    const { conversation, messages } = await api('GET', `/api/conversations/${page.url().split('/').at(-1)}`)
    expect(conversation.sampling.max_tokens === 7 && conversation.sampling.temperature === 0.5, JSON.stringify(conversation.sampling))
    expect(messages[0].role === 'system' && messages[0].text === 'Be brief.', 'the model was told first')
    expect(messages.at(-1).answer.completion_tokens <= 7, 'the answer kept to it')
    return `${messages.at(-1).answer.completion_tokens} tokens`
  },
  'a new chat goes on from an answer': async ({ page, expect, finished }) => {
    const before = page.url()
    await page.getByRole('button', { name: 'Go on in a new chat' }).focus()
    await page.keyboard.press('Enter')
    await page.waitForURL((url) => /\/c\/[^/]+$/.test(url.pathname) && url.href !== before)
    await page.waitForSelector(finished)
    expect(await page.innerText('.said-text') === 'Tell me', 'the question came along')
    expect((await page.innerText('h1')).includes('(branch)'), 'and its title')
  },
  'a walk with Tab reaches everything, and shows where it is': async ({ page, expect }) => {
    await page.evaluate(() => document.activeElement?.blur())
    const seen = new Set()
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press('Tab')
      seen.add(await focused(page))
      const hidden = await page.evaluate(() => {
        const element = document.activeElement
        if (!element || element === document.body) return false
        const box = element.getBoundingClientRect()
        return box.width === 0 || box.height === 0
      })
      expect(!hidden, `something that cannot be seen has the focus: ${await focused(page)}`)
    }
    for (const wanted of ['item-link', 'composer', 'tune', 'account', 'swarm-badge']) {
      const there = [...seen].some((name) => name.includes(wanted)) || (wanted === 'composer' && seen.has(''))
      expect(there, `${wanted} is among ${[...seen].join(', ')}`)
    }
    return `${seen.size} kinds of places`
  },
  'nothing moves for those who want it calm': async ({ page, expect }) => {
    const moving = await page.evaluate(() => document.getAnimations().filter((one) => one.playState === 'running' && Number(one.effect?.getComputedTiming().duration) > 50).length)
    expect(moving === 0, `${moving} animations run`)
  },
}
