// The node that answers is killed: another one goes on where it stood.
export const about = 'a node dies in mid-answer, the text goes on, and a small mark tells of it'
const NODE = ['--engine', 'scripted', '--scripted', 'seed=7,tokens_per_second=20,answer_tokens=120,slots=4']
export const swarm = { nodes: [NODE, NODE] }

export const steps = {
  'the node that answers is killed': async ({ page, ask, grown, swarm }) => {
    await ask('Tell me a long story', false)
    await grown(60)
    const name = await page.innerText('.answer .facts-node')
    await swarm.kill(name)
    return name
  },
  'the text goes on to its end, on another node': async ({ page, finished, expect }) => {
    await page.waitForSelector(finished)
    expect(await page.$('.notice.is-warn') === null, 'no trouble is shown')
  },
  'the mark opens and says who began and who went on': async ({ page, expect, axe }) => {
    await page.click('.went-on summary')
    const story = await page.innerText('.went-on p')
    expect(story.includes('node-1') && story.includes('node-2'), `both are named in "${story}"`)
    await axe()
    return story
  },
}
