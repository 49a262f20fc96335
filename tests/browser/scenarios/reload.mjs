// The page is loaded again while an answer comes, and another window looks on.
export const about = 'a reload in mid-answer goes on without a gap, and two windows stay in step'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', 'seed=7,tokens_per_second=20,answer_tokens=120,slots=4']] }

const all = ({ page, finished }) => page.waitForSelector(finished).then(() => page.innerText('.answer .md'))
let whole = ''

export const steps = {
  'a reload in mid-answer shows the rest of it': async ({ page, ask, grown }) => {
    await ask('Tell me a long story', false)
    await grown(80)
    await page.waitForURL(/\/c\/[^/]+$/)
    await page.reload()
    await grown(120)
  },
  'and nothing of it is missing or double': async (world) => {
    const shown = await all(world)
    const id = world.page.url().split('/').at(-1)
    const { messages } = await world.api('GET', `/api/conversations/${id}`)
    whole = messages.at(-1).text
    const plain = (text) => text.replace(/\s+/g, ' ').trim()
    world.expect(plain(shown) === plain(whole), `the page shows what is kept: ${shown.length} and ${whole.length} letters`)
    return `${whole.length} letters`
  },
  'a second window sees the next answer grow': async ({ page, context, ask, finished }) => {
    const other = await context.newPage()
    await other.goto(page.url())
    await other.waitForSelector(finished)
    await ask('And another', false)
    await other.waitForSelector('.answer.is-running .md')
    await other.waitForFunction((selector) => document.querySelectorAll(selector).length === 2, finished)
    await other.close()
  },
}
