// The installed page: its manifest, its worker, and what it shows when the gateway is away.
export const about = 'the page can be installed, and shows itself offline with nothing of what was said'
export const worker = true
export const viewport = { width: 360, height: 740 }
export const allow = [/ERR_CONNECTION|WebSocket connection to|ERR_EMPTY_RESPONSE|ERR_FAILED|FetchEvent|Failed to fetch|status of 50/]

export const steps = {
  'the manifest and its icons are there': async ({ page, url, expect }) => {
    const manifest = await page.evaluate(async () => (await fetch('/manifest.webmanifest')).json())
    expect(manifest.display === 'standalone' && manifest.icons.length >= 3, 'it is a manifest')
    for (const { src } of manifest.icons) expect((await fetch(`${url}${src}`)).ok, `${src} is there`)
  },
  'the worker keeps the shell and none of the API': async ({ page, ask, expect }) => {
    if (process.env.STARLING_UI) return 'not tried: the page is from disk'
    await ask('What is the swarm?')
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
    await page.reload()
    await page.waitForSelector('.answer:not(.is-running)')
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
    const kept = await page.evaluate(async () => (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)))).flat())
    expect(kept.includes('/') && kept.some((path) => path.startsWith('/assets/')), `the shell is among ${kept}`)
    expect(kept.every((path) => path === '/' || /^\/(assets|icons)\/|^\/(favicon|manifest|theme)/.test(path)), `nothing else is: ${kept}`)
    return `${kept.length} files`
  },
  'without the gateway the page says so, and comes back with it': async ({ page, swarm, expect, axe }) => {
    if (process.env.STARLING_UI) return 'not tried: the page is from disk'
    await swarm.kill('gateway')
    await page.reload()
    await page.waitForURL(/\/unreachable/)
    await page.waitForSelector('.door-card .button')
    expect(!(await page.innerText('body')).includes('What is the swarm?'), 'nothing of what was said is shown')
    await axe('offline')
    await swarm.startGateway(new URL(swarm.url).host)
    await page.click('.door-card .button')
    await page.waitForSelector('.composer textarea')
  },
}
