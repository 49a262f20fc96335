// What the operator's pages know, and bringing a node in, with a made-up gateway and a made-up clock.
import { createApp, h, nextTick } from 'vue'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { curlExample, pythonExample } from '../src/components/keys/examples'
import { isInstalled, likelySystem, modelWords, nodeCommand } from '../src/components/nodes/command'
import { qrPath } from '../src/components/nodes/qr'
import { line, nearest, ticks, xOf } from '../src/components/operator/chart'
import LineChart from '../src/components/operator/LineChart.vue'
import { servedBy } from '../src/components/operator/offers'
import { useAddNode } from '../src/composables/useAddNode'
import { useAudit } from '../src/composables/useAudit'
import { relayedPercent } from '../src/composables/useFigures'
import { countOf, inviteState } from '../src/composables/useInvites'
import { useLoaded } from '../src/composables/useLoaded'
import { machinesOf, matches } from '../src/composables/useMachines'
import type { FigureSample, Invite, Member, MyNode, NodeView, OfferView } from '../src/wire'

const at = '2026-11-26T10:00:00.000Z'
const offer = (model: string, more: Partial<OfferView> = {}): OfferView =>
  ({ model, device: 'CPU', memory_bytes: 0, context_tokens: 1024, slots_free: 1, slots_total: 2, prefill_tokens_per_second: 0, decode_tokens_per_second: 9, throughput_tokens_per_second: 0, restarts: 0, trouble: '', ...more })
const node = (peer: string, more: Partial<NodeView> = {}): NodeView =>
  ({ peer, name: `node ${peer}`, path: 'direct', rtt_ms: 1, slots_free: 1, slots_total: 2, models: ['m'], decode_tokens_per_second: 9, device: 'CPU', version: '1', warning: '', gpus: [], ram: { total: 0, used: 0 }, offers: [offer('m')], network: { nat: 'cone', udp: null, ipv6: null, relays: 0, mapped: false }, loadable: [], drained: false, paused: null, ...more })
const member = (peer: string, more: Partial<Member> = {}): Member =>
  ({ peer, name: `member ${peer}`, role: 'node', connected: false, expires_at: null, joined_at: at, revoked_at: null, ...more })
const invite: Invite = { id: 'i', label: '', role: 'node', max_uses: 1, uses: 0, created_at: at, expires_at: '2026-11-26T11:00:00.000Z', revoked_at: null }

/** A gateway that answers by the beginning of a request. */
function gateway(answers: Record<string, (path: string) => unknown>) {
  const asked: string[] = []
  vi.stubGlobal('fetch', vi.fn((path: string, init: RequestInit) => {
    const key = `${init.method} ${path}`
    asked.push(key)
    const found = Object.entries(answers).find(([start]) => key.startsWith(start))?.[1](path)
    if (found === undefined) return Promise.resolve(new Response('{"error":{"code":"unreachable","message":"gone"}}', { status: 503 }))
    return Promise.resolve(found === null ? new Response(null, { status: 204 }) : new Response(JSON.stringify(found)))
  }))
  return asked
}

function used<T>(composable: () => T): { it: T; leave: () => void } {
  let made: T | undefined
  const app = createApp({ setup: () => { made = composable(); return () => h('i') } })
  app.mount(document.createElement('div'))
  return { it: made as T, leave: () => app.unmount() }
}
const settled = () => vi.advanceTimersByTimeAsync(0)

afterEach(() => { vi.unstubAllGlobals(); vi.useRealTimers() })

describe('a chart', () => {
  const box = { left: 10, top: 0, width: 100, height: 50 }

  it('has round values on its side, up to or above the most', () => {
    expect(ticks(0)).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(ticks(487)).toEqual([0, 200, 400, 600])
    expect(ticks(3, true)).toEqual([0, 1, 2, 3])
    expect(ticks(0.07)).toEqual([0, 0.02, 0.04, 0.06, 0.08])
    for (const most of [1e-9, 1, 99, 12_345, 1e12]) {
      const marks = ticks(most)
      expect(marks.at(-1)).toBeGreaterThanOrEqual(most * (1 - 1e-9))
      expect(marks.length).toBeLessThanOrEqual(6)
    }
    expect(ticks(Infinity).length).toBeGreaterThan(1)
  })

  it('draws a gap where nothing was measured, and a dot for what stands alone', () => {
    expect(line([0, 1, null, 1, null], 1, 5, box)).toBe('M10.0 50.0L35.0 0.0M85.0 0.0h.01')
    expect(line([], 1, 5, box)).toBe('')
    expect(line([null, null], 1, 5, box)).toBe('')
  })

  it('has the newest at its right edge, and finds what one points at', () => {
    expect([xOf(2, 3, 11, box), xOf(0, 3, 11, box)]).toEqual([110, 90])
    expect([nearest(110, 3, 11, box), nearest(96, 3, 11, box), nearest(20, 3, 11, box), nearest(999, 3, 11, box)]).toEqual([2, 1, null, 2])
    expect(nearest(50, 0, 11, box)).toBeNull()
  })

  it('can be read with the keys, and as a table', async () => {
    const root = document.createElement('div')
    const series = [{ name: 'tokens', values: [1, null, 3] }]
    createApp({ render: () => h(LineChart, { title: 'Speed', series, times: [at, at, at], kept: 3, format: String }) }).mount(root)
    const frame = root.querySelector('.chart-frame') as HTMLElement
    expect(frame.getAttribute('aria-label')).toContain('tokens: from 1 to 3, last 3.')
    frame.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home' }))
    await nextTick()
    expect(root.querySelector('[role=status]')?.textContent).toMatch(/: tokens 1$/)
    frame.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }))
    await nextTick()
    expect(root.querySelector('[role=status]')?.textContent).toMatch(/: tokens –$/)
    const details = root.querySelector('details') as HTMLDetailsElement
    details.open = true
    details.dispatchEvent(new Event('toggle'))
    await nextTick()
    expect([...root.querySelectorAll('td')].map((cell) => cell.textContent)).toEqual(['3', '–', '1'])
  })

  it('has no share of relayed answers where none began', () => {
    const sample = { begun: 0, relayed: 0 } as FigureSample
    expect([relayedPercent(sample), relayedPercent({ ...sample, begun: 4, relayed: 1 })]).toEqual([null, 25])
  })
})

describe('the swarm as its operator sees it', () => {
  it('has each member once, those in sight first, with those that joined elsewhere', () => {
    const members = [member('away'), member('out', { revoked_at: at }), member('here', { connected: true }), member('gate', { role: 'gateway' })]
    const machines = machinesOf(members, [node('here'), node('elsewhere'), node('tired', { drained: true }), node('playing', { paused: { reason: 'full_screen', seconds: null, returning: false } })])
    expect(machines.map((one) => [one.peer, one.state])).toEqual([['elsewhere', 'here'], ['here', 'here'], ['playing', 'paused'], ['tired', 'drained'], ['gate', 'gateway'], ['away', 'away'], ['out', 'out']])
    expect(machines.find((one) => one.peer === 'away')?.name).toBe('member away')
  })

  it('is looked through by name, id, model and device, all words together', () => {
    const [machine] = machinesOf([], [node('12D3', { name: 'Attic', device: 'CUDA: RTX', models: ['Qwen3'] })])
    const found = (words: string) => machine !== undefined && matches(machine, words)
    expect(['attic', 'ATTIC qwen', '12d3', 'rtx', '', 'cone'].map(found)).toEqual([true, true, true, true, true, true])
    expect(['cellar', 'attic llama'].map(found)).toEqual([false, false])
  })

  it('serves models, each with its places', () => {
    const loadable = { model: 'big', bytes: 1, loading_permille: null, seconds: 1, trouble: '' }
    const served = servedBy([
      node('a', { offers: [offer('m', { slots_free: 2, slots_total: 4 })], loadable: [{ ...loadable, loading_permille: 300 }] }),
      node('b', { drained: true, offers: [offer('m', { context_tokens: 4096 })], loadable: [loadable, { ...loadable, model: 'late' }] }),
    ])
    expect(served.map((one) => [one.model, one.state, one.free, one.slots, one.context, one.permille])).toEqual([['m', 'loaded', 3, 6, 4096, 0], ['big', 'loading', 0, 0, 0, 300], ['late', 'loadable', 0, 0, 0, 0]])
    expect(served[0]?.places.map((place) => [place.peer, place.drained])).toEqual([['a', false], ['b', true]])
  })

  it('knows what became of an invite', () => {
    const now = Date.parse(at)
    const states = [invite, { ...invite, uses: 1 }, { ...invite, revoked_at: at }, { ...invite, expires_at: at }].map((one) => inviteState(one, now))
    expect(states).toEqual(['open', 'usedUp', 'revoked', 'over'])
    expect(['3', ' 12 ', 'many', '', '-1', '1.5', '1e3', '9999999999'].map(countOf)).toEqual([3, 12, 0, 0, 0, 0, 0, 0])
  })
})

describe('a list that is asked for again', () => {
  it('keeps what it has when the gateway is gone, and says so', async () => {
    vi.useFakeTimers()
    let answers: (() => Promise<number>)[] = [() => Promise.reject(new Error('gone'))]
    const { it: list, leave } = used(() => useLoaded(() => (answers.shift() ?? (() => Promise.resolve(7)))(), 0, 1000))
    await settled()
    expect([list.state.value, list.value.value]).toEqual(['failed', 0])
    await vi.advanceTimersByTimeAsync(1000)
    expect([list.state.value, list.stale.value, list.value.value]).toEqual(['ready', false, 7])
    answers = [() => Promise.reject(new Error('gone'))]
    await vi.advanceTimersByTimeAsync(1000)
    expect([list.state.value, list.stale.value, list.value.value]).toEqual(['ready', true, 7])
    leave()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('shows the answer to the last question, whichever comes last', async () => {
    vi.useFakeTimers()
    const waiting: ((value: string) => void)[] = []
    const { it: list } = used(() => useLoaded(() => new Promise<string>((done) => waiting.push(done)), ''))
    void list.load()
    waiting[1]?.('second')
    waiting[0]?.('first')
    await settled()
    expect(list.value.value).toBe('second')
  })
})

describe('the audit log', () => {
  it('comes in pages of what was asked for', async () => {
    vi.useFakeTimers()
    const entry = (id: number) => ({ id: String(id), at, actor: 'ada', action: 'node_drained', target: 't', from: 'f' })
    const asked = gateway({
      'GET /api/audit?limit=50&before=49': () => ({ entries: [entry(50)] }),
      'GET /api/audit?limit=50&action=node_drained': () => ({ entries: [entry(1)] }),
      'GET /api/audit?limit=50': () => ({ entries: Array.from({ length: 50 }, (_, n) => entry(n)) }),
    })
    const { it: log } = used(useAudit)
    await settled()
    expect([log.entries.value.length, log.more.value]).toEqual([50, true])
    await log.loadMore()
    expect([log.entries.value.length, log.more.value]).toEqual([51, false])
    log.filter.action = 'node_drained'
    log.filter.actor = ' ada '
    await log.load()
    expect(log.entries.value.length).toBe(1)
    expect(asked.at(-1)).toBe('GET /api/audit?limit=50&action=node_drained&actor=ada')
  })
})

describe('bringing a node in', () => {
  const mine = (peer: string, more: Partial<MyNode> = {}): MyNode => ({ peer, name: peer, joined_at: at, revoked_at: null, invite: 'i', now: null, ...more })

  it('waits for whoever comes with that invite, and goes on until it serves', async () => {
    vi.useFakeTimers()
    let there: MyNode[] = [mine('old', { invite: 'another' })]
    const asked = gateway({ 'POST /api/invites': () => ({ invite: { ...invite, max_uses: 2 }, text: 'starling-invite-x' }), 'GET /api/my/nodes': () => ({ nodes: there }) })
    const { it: page, leave } = used(() => useAddNode(() => Date.parse(at)))
    await page.make({ max_uses: 2, expires_in_seconds: 3600 })
    await settled()
    expect([page.adding.value?.text, page.nodes.value, page.left.value]).toEqual(['starling-invite-x', [], 2])
    there = [mine('new'), ...there]
    await vi.advanceTimersByTimeAsync(2000)
    expect([page.nodes.value.map((one) => one.peer), page.left.value, page.over.value]).toEqual([['new'], 1, false])
    there = [mine('new', { now: node('new') })]
    await vi.advanceTimersByTimeAsync(2000)
    expect(page.nodes.value[0]?.now?.name).toBe('node new')
    leave()
    const before = asked.length
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked.length).toBe(before)
  })

  it('says that the gateway is away, and that an invite is over', async () => {
    vi.useFakeTimers()
    let now = Date.parse(at)
    const answers: Record<string, () => unknown> = { 'POST /api/invites': () => ({ invite, text: 't' }) }
    gateway(answers)
    const { it: page } = used(() => useAddNode(() => now))
    await page.make({})
    await settled()
    expect([page.lost.value, page.over.value]).toEqual([true, false])
    answers['GET /api/my/nodes'] = () => ({ nodes: [] })
    now += 3_600_000
    await vi.advanceTimersByTimeAsync(2000)
    expect([page.lost.value, page.over.value]).toEqual([false, true])
  })

  it('is one line on each system, and a code for a camera', () => {
    expect(nodeCommand('linux', 'INVITE', null)).toBe('./starling-node join INVITE')
    expect(nodeCommand('windows', 'INVITE', null)).toBe('.\\starling-node.exe join INVITE')
    const installs = { origin: 'https://chat.example', linux: true, windows: true }
    expect(nodeCommand('linux', 'INVITE', installs)).toBe('curl -fsSL https://chat.example/install.sh | sudo sh -s -- INVITE')
    expect(nodeCommand('windows', 'INVITE', installs)).toBe("$env:STARLING_INVITE='INVITE'; irm https://chat.example/install.ps1 | iex")
    const linuxAlone = { ...installs, windows: false }
    expect([isInstalled('linux', linuxAlone), isInstalled('windows', linuxAlone), isInstalled('linux', null)]).toEqual([true, false, false])
    expect(nodeCommand('windows', 'INVITE', linuxAlone)).toBe('.\\starling-node.exe join INVITE')
    expect([modelWords('windows', installs).before, modelWords('linux', installs).before, modelWords('windows', null).before]).toEqual([true, false, false])
    expect([likelySystem('Mozilla (Windows NT 10.0)'), likelySystem('X11; Linux')]).toEqual(['windows', 'linux'])
    const { d, size } = qrPath('starling-invite-x')
    // 25 modules for so short a text, four quiet ones around them, and the first corner's square.
    expect([size, d.startsWith('M4 4h7v1h-7z')]).toEqual([33, true])
    expect(qrPath(`starling-invite-${'x'.repeat(1000)}`).size).toBeLessThan(140)
  })
})

describe('examples for programs', () => {
  it('are whole, and quote what could break them', () => {
    const asked = { origin: 'https://chat.example', secret: 'sk-x', model: `it's "odd"`, question: 'Why?' }
    const curl = curlExample(asked)
    expect(curl).toContain('curl https://chat.example/v1/chat/completions')
    expect(curl).toContain(`it'\\''s \\"odd\\"`)
    const python = pythonExample(asked)
    expect(python).toContain('base_url="https://chat.example/v1", api_key="sk-x"')
    expect(python).toContain('model="it\'s \\"odd\\""')
  })
})
