// The worker that keeps the shell, in a made-up browser.
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it, vi } from 'vitest'

const code = readFileSync('public/service-worker.js', 'utf8')
const ORIGIN = 'https://chat.example'

interface FetchEvent { request: { method: string; url: string; mode: string }; respondWith(answer: Promise<Response>): void; waitUntil(work: Promise<unknown>): void }

function browser() {
  const kept = new Map<string, Response>()
  const at = (key: string | { url: string }) => new URL(typeof key === 'string' ? key : key.url, ORIGIN).href
  const cache = {
    match: (key: string | { url: string }) => Promise.resolve(kept.get(at(key))?.clone()),
    put: (key: string | { url: string }, response: Response) => Promise.resolve(void kept.set(at(key), response)),
    delete: (key: string | { url: string }) => Promise.resolve(kept.delete(at(key))),
    keys: () => Promise.resolve([...kept.keys()].map((url) => ({ url }))),
    addAll: (paths: string[]) => Promise.resolve(paths.forEach((path) => kept.set(at(path), new Response(path)))),
  }
  const listeners: Record<string, (event: unknown) => void> = {}
  const fetch = vi.fn<(request: unknown) => Promise<Response>>()
  const self = { skipWaiting: () => Promise.resolve(), clients: { claim: () => Promise.resolve() } }
  const caches = { open: () => Promise.resolve(cache), match: cache.match }
  const listen = (type: string, act: (event: unknown) => void) => { listeners[type] = act }
  new Function('self', 'caches', 'fetch', 'addEventListener', 'location', code)(self, caches, fetch, listen, { origin: ORIGIN })

  const install = async () => {
    let work: Promise<unknown> = Promise.resolve()
    listeners['install']?.({ waitUntil: (promise: Promise<unknown>) => { work = promise } })
    await work
  }
  /** What the worker answers; null when it leaves the request alone. */
  const ask = async (path: string, mode = 'navigate', method = 'GET') => {
    let answer: Promise<Response> | null = null
    const after: Promise<unknown>[] = []
    const event: FetchEvent = {
      request: { method, url: new URL(path, ORIGIN).href, mode },
      respondWith: (promise) => { answer = promise }, waitUntil: (promise) => { after.push(promise) },
    }
    listeners['fetch']?.(event)
    const response = answer === null ? null : await (answer as Promise<Response>)
    await Promise.all(after)
    return response
  }
  return { kept, fetch, install, ask }
}

const shell = (name: string) => new Response(`<script src="/assets/${name}.js"></script><link href="/favicon.svg">`)
const paths = (kept: Map<string, Response>) => [...kept.keys()].map((url) => new URL(url).pathname).sort()

describe('the worker', () => {
  let world = browser()
  beforeEach(async () => {
    world = browser()
    world.fetch.mockResolvedValueOnce(shell('one'))
    await world.install()
  })

  it('keeps the page and what it names', () => {
    expect(paths(world.kept)).toEqual(['/', '/assets/one.js', '/favicon.svg'])
  })

  it('leaves the API, changes and other origins alone', async () => {
    for (const [path, mode, method] of [['/api/me', 'cors', 'GET'], ['/v1/models', 'cors', 'GET'], ['/api/docs', 'navigate', 'GET'],
      ['/c', 'cors', 'POST'], ['https://other.example/assets/one.js', 'no-cors', 'GET'], ['/anything.txt', 'cors', 'GET']] as const) {
      expect(await world.ask(path, mode, method), path).toBeNull()
    }
  })

  it('shows the kept page when the gateway is gone or ill, and the gateway’s own otherwise', async () => {
    world.fetch.mockRejectedValueOnce(new TypeError('offline'))
    expect(await (await world.ask('/c/abc'))?.text()).toContain('/assets/one.js')
    world.fetch.mockResolvedValueOnce(new Response('bad gateway', { status: 502 }))
    expect(await (await world.ask('/c/abc'))?.text()).toContain('/assets/one.js')
    world.fetch.mockResolvedValueOnce(new Response('nothing here', { status: 404 }))
    expect((await world.ask('/x'))?.status).toBe(404)
  })

  it('takes a new page, and lets go of the old one’s parts', async () => {
    world.fetch.mockResolvedValueOnce(shell('two'))
    expect(await (await world.ask('/c'))?.text()).toContain('/assets/two.js')
    expect(paths(world.kept)).toEqual(['/', '/assets/two.js', '/favicon.svg'])
  })

  it('asks for what may change, and not for what never does', async () => {
    expect(await (await world.ask('/assets/one.js', 'no-cors'))?.text()).toBe('/assets/one.js')
    world.fetch.mockResolvedValueOnce(new Response('new icon'))
    expect(await (await world.ask('/favicon.svg', 'no-cors'))?.text()).toBe('new icon')
    world.fetch.mockRejectedValueOnce(new TypeError('offline'))
    expect(await (await world.ask('/favicon.svg', 'no-cors'))?.text()).toBe('new icon')
    expect(world.fetch).toHaveBeenCalledTimes(3)
  })
})
