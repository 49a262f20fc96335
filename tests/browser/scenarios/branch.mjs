// Versions of a question and of an answer, and the arrows between them.
export const about = 'an edited question begins a branch, another answer is a version, arrows lead between them'
export const swarm = { nodes: [['--engine', 'scripted', '--scripted', 'seed=5,tokens_per_second=0,answer_tokens=24,slots=4']] }

const versions = ({ page }, kind) => page.locator(`.${kind} .versions`).first()

export const steps = {
  'a question is edited and asked again': async ({ page, ask, finished }) => {
    await ask('First words')
    await page.hover('.said')
    await page.click('.said-edit')
    await page.fill('.said-editor textarea', 'Other words')
    await page.press('.said-editor textarea', 'Enter')
    await page.waitForSelector('.said .versions')
    await page.waitForSelector(finished)
  },
  'the arrows lead back to the first branch and forth again': async (world) => {
    const { page } = world
    await versions(world, 'said').locator('button').first().click()
    await page.waitForFunction(() => document.querySelector('.said-text')?.textContent === 'First words')
    await versions(world, 'said').locator('button').last().click()
    await page.waitForFunction(() => document.querySelector('.said-text')?.textContent === 'Other words')
  },
  'another answer stands beside the first': async (world) => {
    await world.page.locator('.answer-actions > button').first().click()
    await world.page.waitForSelector('.answer:not(.is-running) .versions')
    await world.axe()
    return world.page.locator('.answer .versions .num').innerText()
  },
}
