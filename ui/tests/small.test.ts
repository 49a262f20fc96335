import { describe, expect, it, vi } from 'vitest'
import { flock } from '../src/components/murmuration'
import { frameBatch } from '../src/composables/frameBatch'
import { dayGroup, grouped } from '../src/dates'
import { api, ApiError } from '../src/net/api'
import { milliseconds } from '../src/texts'
import { chat } from '../src/texts/chat/en'
import { common, plural } from '../src/texts/common/en'
import { conversation } from './frames'

describe('the list', () => {
  const now = new Date(2026, 10, 22, 0, 30)
  const at = (day: number, hour: number) => new Date(2026, 10, day, hour).toISOString()

  it('counts days from midnight to midnight', () => {
    expect([at(22, 0), at(21, 23), at(21, 1), at(20, 1), at(16, 1), at(14, 1), at(1, 1)].map((time) => dayGroup(time, now)))
      .toEqual(['today', 'yesterday', 'yesterday', 'week', 'week', 'month', 'month'])
    expect(dayGroup('2025-01-01T00:00:00Z', now)).toBe('earlier')
    expect(dayGroup(at(23, 1), now)).toBe('today')
  })

  it('puts neighbours of one day together', () => {
    const list = [at(22, 0), at(21, 3), at(21, 2)].map((updated_at, n) => ({ ...conversation, id: String(n), updated_at }))
    expect(grouped(list, now).map((group) => [group.name, group.items.length])).toEqual([['today', 1], ['yesterday', 2]])
    const pinned = { ...conversation, updated_at: at(1, 0), pinned: true }
    expect(grouped([pinned, ...list], now)[0]).toEqual({ name: 'pinned', items: [pinned] })
  })
})

describe('words', () => {
  it('are said as people say them', () => {
    expect([1.24, 34.2, 999, 1234, 65_000].map(milliseconds)).toEqual(['1.2 ms', '34 ms', '999 ms', '1.2 s', '65 s'])
    expect([3.14159, 812.3].map(common.swarm.tokensPerSecond)).toEqual(['3.1 tokens/s', '812 tokens/s'])
    expect(common.swarm.memoryOf({ used: 3_100_000_000, total: 12_000_000_000 })).toBe('3.1 of 12.0 GB')
    const silent = { name: 'card', memory: { total: 0, used: 0 }, utilization_percent: null, temperature_celsius: null, power_watts: null }
    expect(common.swarm.gpu(silent)).toBe('no figures')
    expect(common.swarm.gpu({ ...silent, utilization_percent: 0, temperature_celsius: 66 })).toBe('0% · 66 °C')
    expect([plural(1, 'node'), plural(0, 'node')]).toEqual(['1 node', '0 nodes'])
    expect(chat.message.ending(null)).toBeNull()
  })
})

describe('the line', () => {
  it('says the place and a guess at the time, and no more than is known', () => {
    expect(chat.running.waiting(null)).toContain('as soon as one is free')
    expect(chat.running.waiting({ position: 1, seconds: 0 })).toContain('next and starts in a moment.')
    expect(chat.running.waiting({ position: 3, seconds: 40 })).toContain('number 3 in line and starts in about 40 seconds.')
    expect(chat.running.waiting({ position: 2, seconds: 100 })).toContain('about 2 minutes.')
  })
})

describe('an answer of several nodes', () => {
  it('says who went on with it', () => {
    expect(chat.message.wentOn(['attic', 'cellar'])).toBe('went on on cellar')
    expect(chat.message.wentOn(['attic', 'cellar', 'attic'])).toBe('went on 2 times')
    expect(chat.message.wentOnStory(['attic', 'cellar', 'shed'])).toBe('attic began this answer. cellar, then shed went on with it from where it stood.')
  })
})

describe('a model that is not loaded', () => {
  it('says how far it is and what a question to it means', () => {
    expect(chat.running.loading('m', 'attic', 405)).toBe('Loading m on attic… 40%')
    const model = { id: 'm', hash: '00', context_tokens: 4096, demo: false, nodes: 0, slots_free: 0, slots_total: 0, loading_permille: null }
    expect(chat.model.loadable({ ...model, state: 'loadable' })).toContain('not loaded: the first question waits for that')
    expect(chat.model.loading({ ...model, state: 'loading', loading_permille: 999 })).toContain('being loaded, 99%')
    expect(chat.model.loaded({ ...model, nodes: 2, slots_total: 8, slots_free: 3, state: 'loaded' })).toContain('2 nodes · 3 of 8 free')
    const loadable = { model: 'm', bytes: 5_400_000_000, loading_permille: null, seconds: 20, trouble: '' }
    expect(common.swarm.loadable(loadable)).toBe('m (5.4 GB)')
    expect(common.swarm.loadable({ ...loadable, loading_permille: 12 })).toBe('m (loading, 1%)')
    expect(common.swarm.loadable({ ...loadable, trouble: 'no memory' })).toBe('m (5.4 GB, could not be loaded)')
  })
})

describe('frames', () => {
  it('are drawn once, however often something changes', () => {
    let draw: FrameRequestCallback | null = null
    vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => { draw = callback })
    const act = vi.fn()
    const change = frameBatch(act)
    for (let n = 0; n < 100; n += 1) change()
    expect(act).not.toHaveBeenCalled()
    ;(draw as FrameRequestCallback | null)?.(0)
    expect(act).toHaveBeenCalledTimes(1)
    vi.unstubAllGlobals()
  })
})

describe('the flock', () => {
  it('flies the same way each time', () => {
    expect(flock()).toEqual(flock())
    expect(flock().every((bird) => bird.x >= 0 && bird.x <= 1200)).toBe(true)
  })
})

describe('the API', () => {
  const answers = (status: number, body: string) => vi.stubGlobal('fetch', vi.fn(() => Promise.resolve(new Response(body, { status }))))
  const failure = () => api.me().then(() => null, (error: unknown) => error as ApiError)

  it('gives the gateway\'s own words and code', async () => {
    answers(403, '{"error":{"code":"wrong_code","message":"No.","field":"code"}}')
    expect(await failure()).toMatchObject({ status: 403, code: 'wrong_code', message: 'No.', field: 'code' })
  })

  it('has words for answers that are not the gateway\'s', async () => {
    answers(502, '<html>Bad gateway</html>')
    expect(await failure()).toMatchObject({ status: 502, code: 'http_502' })
    answers(200, '<html>')
    expect(await failure()).toMatchObject({ code: 'unreachable' })
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no network')))
    expect(await failure()).toMatchObject({ status: 0, code: 'unreachable' })
    vi.unstubAllGlobals()
  })

  it('asks for changes in JSON alone, and puts ids into paths safely', async () => {
    const fetched = vi.fn(() => Promise.resolve(new Response(null, { status: 204 })))
    vi.stubGlobal('fetch', fetched)
    await api.remove('a/../b')
    expect(fetched).toHaveBeenCalledWith('/api/conversations/a%2F..%2Fb', expect.objectContaining({
      method: 'DELETE', body: '{}', headers: { accept: 'application/json', 'content-type': 'application/json' },
    }))
    vi.unstubAllGlobals()
  })
})
