// Keeps the empty page for when the gateway cannot be reached: the shell, its scripts and styles, and nothing else. No
// answer of the API is ever kept, and nothing that somebody has said. The gateway is always asked first for the page, so
// a new one is never held back.
const CACHE = 'starling-shell'
/** What stands under these names never changes, or is only an ornament. */
const KEPT = /^\/(assets\/|icons\/|favicon\.svg$|manifest\.webmanifest$|theme\.js$)/
/** How long the gateway may think before the kept page is shown. */
const PATIENCE_MS = 8000

addEventListener('install', (event) => {
  event.waitUntil(takeShell().then(() => self.skipWaiting()))
})

addEventListener('activate', (event) => {
  event.waitUntil(self.clients.claim())
})

addEventListener('fetch', (event) => {
  const { method, url, mode } = event.request
  const { origin, pathname } = new URL(url)
  if (method !== 'GET' || origin !== location.origin) return
  if (mode === 'navigate' && !/^\/(api|v1|metrics|healthz)(\/|$)/.test(pathname)) event.respondWith(page(event))
  else if (KEPT.test(pathname)) event.respondWith(part(event.request))
})

/** The page and all that it names: enough to say that the gateway is away. */
async function takeShell() {
  const response = await fetch('/', { cache: 'no-cache' })
  if (response.ok) await keep(response)
}

async function keep(response) {
  const cache = await caches.open(CACHE)
  const before = await (await cache.match('/'))?.text()
  const html = await response.clone().text()
  if (html === before) return
  const parts = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((found) => found[1])
  await cache.addAll(parts)
  await cache.put('/', response)
  // Parts of the page before this one.
  for (const { url } of await cache.keys()) {
    const { pathname } = new URL(url)
    if (pathname.startsWith('/assets/') && !parts.includes(pathname)) await cache.delete(url)
  }
}

async function page(event) {
  try {
    const response = await fetch(event.request, { signal: AbortSignal.timeout(PATIENCE_MS) })
    // A gateway that is ill may still say something of its own.
    if (response.status < 500) {
      if (response.ok) event.waitUntil(keep(response.clone()).catch(() => {}))
      return response
    }
    return (await caches.match('/')) ?? response
  } catch (error) {
    const kept = await caches.match('/')
    if (kept) return kept
    throw error
  }
}

async function part(request) {
  const { pathname } = new URL(request.url)
  const cache = await caches.open(CACHE)
  const kept = await cache.match(request)
  if (kept && pathname.startsWith('/assets/')) return kept
  try {
    const response = await fetch(request)
    if (response.ok) await cache.put(request, response.clone())
    return response
  } catch (error) {
    if (kept) return kept
    throw error
  }
}
