// The swarm's page without a page: what changes is taken in, looked back at, and laid out.
import { describe, expect, test } from 'vitest'
// @ts-expect-error -- The mock's swarm, in plain JavaScript.
import { feed } from '../dev/topology.mjs'
import { readFrame } from '../src/net/frames'
import { Camera } from '../src/topology/camera'
import { Layout, shortGpu, type Arrangement } from '../src/topology/layout'
import { DELAY_MS, Player } from '../src/topology/player'
import { along, sceneOf, spotAt } from '../src/topology/scene'
import { SPAN_MS, Timeline, type Peers } from '../src/topology/timeline'
import type { Nat, ServerFrame, TopologyPeer, TopologyPulse } from '../src/wire'

const BEGIN = 1_800_000_000_000

function node(id: number, more: Partial<TopologyPeer> = {}): TopologyPeer {
  return { id, role: 'node', peer: `12D3KooW${String(id * 7919 % 10007).padStart(8, '0')}`, name: `node ${id}`, nat: 'cone', gpu: 'NVIDIA GeForce RTX 4070', models: ['m'], slots: 4, version: '0.1.0', drained: false, paused: null, warned: false, ...more }
}

function changes(second: number, { peers = [], gone = [], pulses = [], events = [] }: Partial<Extract<ServerFrame, { type: 'changes' }>>): ServerFrame {
  return { type: 'changes', at_ms: BEGIN + second * 1000, peers, gone, pulses, events, totals: { nodes: 0, running: 0, waiting: 0 } }
}
const picture = (second: number): ServerFrame => ({ type: 'picture', at_ms: BEGIN + second * 1000, now_ms: BEGIN + second * 1000, me: 0 })
const used = (peers: Peers) => [...peers].map(([id, peer]) => `${id}:${peer.used}`).sort().join(' ')

describe('the timeline', () => {
  test('takes in what changes, and shows any moment of it in any order', () => {
    const timeline = new Timeline()
    const expected = new Map<number, string>()
    const state = new Map<number, number>()
    timeline.take(picture(0))
    for (let second = 0; second < 500; second += 1) {
      const id = second % 17
      const frame: { peers: TopologyPeer[]; gone: number[]; pulses: TopologyPulse[] } = { peers: [], gone: [], pulses: [] }
      if (!state.has(id)) frame.peers.push(node(id))
      if (second % 5 === 4 && state.has(id)) {
        frame.gone.push(id)
        state.delete(id)
      } else {
        frame.pulses.push([id, 'direct', 1, second, 0])
        state.set(id, second)
      }
      timeline.take(changes(second, frame))
      expected.set(second, [...state].map(([peer, slots]) => `${peer}:${slots}`).sort().join(' '))
    }
    for (const second of [499, 0, 250, 251, 252, 40, 41, 39, 498, 13, 320, 319, 1]) {
      expect(used(timeline.at(BEGIN + second * 1000 + 500).peers)).toBe(expected.get(second))
    }
    expect(timeline.at(BEGIN - 1).peers.size).toBe(0)
  })

  test('forgets what is older than ten minutes, and nothing of how it was since', () => {
    const timeline = new Timeline()
    timeline.take(picture(0))
    timeline.take(changes(0, { peers: [node(1), node(2)], pulses: [[1, 'direct', 1, 3, 0]], events: [{ at_ms: BEGIN, what: 'joined', peer: 1 }] }))
    timeline.take(changes(5, { gone: [2] }))
    for (let second = 10; second <= 700; second += 10) timeline.take(changes(second, { peers: [node(1000 + second)], events: [{ at_ms: BEGIN + second * 1000, what: 'joined', peer: 1000 + second }] }))
    expect(timeline.from).toBe(BEGIN + 90_000)
    expect(timeline.to - timeline.from).toBeLessThanOrEqual(SPAN_MS + 10_000)
    expect(timeline.at(timeline.from).peers.get(1)?.used).toBe(3)
    expect(timeline.events[0]?.at_ms).toBeGreaterThanOrEqual(BEGIN + 100_000)
    expect(timeline.cards.has(2), 'who left before that is not named any more').toBe(false)
    expect(timeline.beats().length).toBeLessThanOrEqual(62)
  })

  test('a second picture stands for all that was missed, and the past stays', () => {
    const timeline = new Timeline()
    timeline.take(picture(0))
    timeline.take(changes(0, { peers: [node(1), node(2)] }))
    timeline.take(picture(30))
    timeline.take(changes(30, { peers: [node(3)] }))
    timeline.take(changes(30, { peers: [node(4)] }))
    const ids = (second: number) => [...timeline.at(BEGIN + second * 1000).peers.keys()]
    expect([ids(29), ids(30)]).toEqual([[1, 2], [3, 4]])
    timeline.clear()
    timeline.take(picture(40))
    expect([timeline.from, timeline.cards.size, ids(41)]).toEqual([BEGIN + 40_000, 0, []])
  })

  test('events are found up to a moment, the newest first', () => {
    const timeline = new Timeline()
    timeline.take(picture(0))
    for (let second = 0; second < 50; second += 1) timeline.take(changes(second, { events: [{ at_ms: BEGIN + second * 1000, what: 'began', peer: 1, answer: second }] }))
    expect(timeline.eventsUntil(BEGIN + 10_500, 3).map((event) => event.answer)).toEqual([10, 9, 8])
  })
})

describe('the moment that is shown', () => {
  test('is a little behind the present, stands still, goes by, and comes back to the present', () => {
    const player = new Player()
    player.heard(BEGIN, 5_000)
    player.heard(BEGIN - 400, 5_000)
    expect(player.moment(6_000, 0)).toBe(BEGIN + 1_000 - DELAY_MS)
    player.pause(6_000, 0)
    expect(player.moment(99_000, 0)).toBe(BEGIN + 1_000 - DELAY_MS)
    player.seek(BEGIN - 60_000, 100_000)
    player.play(100_000, 0)
    player.setSpeed(4, 100_000, 0)
    expect(player.moment(105_000, 0)).toBe(BEGIN - 40_000)
    expect(player.moment(200_000, 0)).toBe(player.present(200_000))
    expect(player.mode).toBe('live')
  })

  test('never leaves what is known', () => {
    const player = new Player()
    player.heard(BEGIN, 0)
    player.seek(0, 0)
    expect(player.moment(10, BEGIN - 5_000)).toBe(BEGIN - 5_000)
    player.seek(BEGIN + 99_000, 0)
    expect(player.moment(10, BEGIN - 5_000)).toBe(player.present(10))
  })
})

function nearest(arrangement: Arrangement): number {
  const points = [...arrangement.places.values()].map(({ angle, radius }) => ({ x: Math.cos(angle) * radius, y: Math.sin(angle) * radius }))
  let least = Infinity
  points.forEach((a, i) => points.slice(i + 1).forEach((b) => { least = Math.min(least, Math.hypot(a.x - b.x, a.y - b.y)) }))
  return least
}

describe('the layout', () => {
  const nats: Nat[] = ['open', 'cone', 'symmetric', 'unknown']
  const gpus = ['NVIDIA GeForce RTX 4070', 'AMD Radeon RX 7900 XTX', 'CPU: 2 threads']
  const crowd = (count: number) => Array.from({ length: count }, (_, i) => node(i + 1, { nat: nats[i % 4] ?? 'open', gpu: gpus[i % 3] ?? '' }))

  test.each([0, 1, 2, 5, 17, 50, 500, 1000])('%i nodes have places of their own', (count) => {
    const arrangement = new Layout().arrange(crowd(count))
    expect(arrangement.places.size).toBe(count)
    expect(nearest(arrangement)).toBeGreaterThan(0.8)
    for (const { from, to, count: members } of arrangement.groups) expect(to - from).toBeGreaterThan(members > 0 ? 0.01 : 0)
  })

  test('one kind alone stands all around', () => {
    const arrangement = new Layout().arrange(Array.from({ length: 50 }, (_, i) => node(i + 1)))
    expect(arrangement.groups).toHaveLength(1)
    expect(nearest(arrangement)).toBeGreaterThan(0.6)
  })

  test('the same crowd stands alike in whichever order it is told', () => {
    const nodes = crowd(60)
    expect(new Layout().arrange([...nodes].reverse()).places).toEqual(new Layout().arrange(nodes).places)
  })

  test('who comes or goes moves nobody else', () => {
    const layout = new Layout()
    const nodes = crowd(100)
    const before = layout.arrange(nodes).places
    const fewer = layout.arrange(nodes.filter((one) => one.id % 10 !== 3)).places
    for (const [id, place] of fewer) expect(place).toEqual(before.get(id))
    expect(layout.arrange(nodes).places).toEqual(before)
  })

  test('what computes is told in a few words', () => {
    expect(['NVIDIA GeForce RTX 4070', 'CUDA: NVIDIA GeForce RTX 4090', 'AMD Radeon RX 7900 XTX', 'CPU: 2 threads', ''].map(shortGpu)).toEqual(['RTX 4070', 'RTX 4090', 'RX 7900 XTX', 'CPU', 'CPU'])
  })
})

describe('the picture', () => {
  const camera = new Camera()
  const nodes = [node(0, { role: 'gateway' }), node(900, { role: 'bootstrap' }), ...Array.from({ length: 50 }, (_, i) => node(i + 1))]
  const arrangement = new Layout().arrange(nodes)
  const scene = () => sceneOf(arrangement, nodes, 0, camera)

  test('shows everybody within its size, the gateway in the middle', () => {
    for (const size of [{ width: 1000, height: 500 }, { width: 360, height: 420 }]) {
      camera.fit(size, arrangement.outer)
      const { spots, center } = scene()
      expect(spots.size).toBe(52)
      expect(center).toEqual({ x: size.width / 2, y: size.height / 2 })
      for (const spot of spots.values()) {
        expect(spot.x).toBeGreaterThan(0)
        expect(spot.x).toBeLessThan(size.width)
        expect(spot.y).toBeGreaterThan(0)
        expect(spot.y).toBeLessThan(size.height)
      }
    }
  })

  test('who is pointed at is found, and who is not there is not', () => {
    const spot = scene().spots.get(7)
    if (!spot) throw new Error('no such node')
    expect(spotAt(scene(), { x: spot.x + 3, y: spot.y }, () => true)?.id).toBe(7)
    expect(spotAt(scene(), spot, (id) => id !== 7)?.id).not.toBe(7)
    expect(along(spot, scene().center, 1)).toEqual(scene().center)
  })

  test('coming nearer keeps the point, and moving ends at the edge', () => {
    camera.fit({ width: 1000, height: 500 }, arrangement.outer)
    camera.zoomAt({ x: 500, y: 250 }, 4)
    expect(camera.point({ angle: 0, radius: 0 })).toEqual({ x: 500, y: 250 })
    camera.move({ x: 1e6, y: -1e6 })
    const { x, y } = camera.point({ angle: 0, radius: 0 })
    expect([x, y]).toEqual([500 + 1500, 250 - 750])
    camera.reset()
  })
})

test('the frames of a made-up swarm are frames, and lead from one to the next', () => {
  const timeline = new Timeline()
  let frames = 0
  feed(100).watch((frame: ServerFrame) => {
    expect(readFrame(JSON.stringify(frame)) !== null, frame.type).toBe(true)
    timeline.take(frame)
    frames += 1
  })()
  expect(frames).toBeGreaterThan(580)
  expect(timeline.at(timeline.to).peers.size).toBeGreaterThan(80)
  expect(timeline.events.some((event) => event.what === 'moved')).toBe(true)
  expect(readFrame(JSON.stringify({ ...changes(0, {}), pulses: [[1, 'direct', null, 'x', 0]] }))).toBeNull()
})
