// A swarm made of nothing for the page that shows one: nodes that come, work and go, answers that move. The same seed
// gives the same swarm. `feed(count)` has what a socket that watches is to be told.

const NATS = ['open', 'full_cone', 'cone', 'cone', 'cone', 'symmetric', 'symmetric', 'unknown']
const GPUS = ['NVIDIA GeForce RTX 4070', 'NVIDIA GeForce RTX 4070', 'NVIDIA GeForce RTX 3060', 'NVIDIA GeForce RTX 4090', 'AMD Radeon RX 7900 XTX', 'CPU: 8 threads']
const NAMES = ['attic', 'workshop', 'cellar', 'studio', 'garage', 'loft', 'den', 'barn', 'office', 'kitchen', 'tower', 'shed', 'lab', 'porch', 'library', 'harbour']
const SPEED = { 'CPU: 8 threads': 7 }
const HISTORY_S = 590
const SLOTS = 4

/** Mulberry32: small, and good enough for a toy. */
function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

class Swarm {
  constructor(count, seed) {
    this.random = randomOf(seed)
    this.count = count
    this.nodes = new Map()
    this.answers = new Map()
    this.next = { id: 10, answer: 1 }
    this.waiting = 0
    this.others = [this.peer(0, 'gateway'), this.peer(1, 'bootstrap'), this.peer(2, 'bootstrap')]
    this.others[0].version = '0.1.0'
    if (count >= 50) this.others.push(this.peer(3, 'gateway'))
    while (this.nodes.size < count) this.join()
  }

  any(list) { return list[Math.floor(this.random() * list.length)] }
  key() { return '12D3KooW' + Array.from({ length: 44 }, () => this.any(ALPHABET)).join('') }
  peer(id, role) {
    return { id, role, peer: this.key(), name: '', nat: 'unknown', gpu: '', models: [], slots: 0, version: '', drained: false, paused: null, warned: false }
  }

  join() {
    const id = this.next.id++
    const gpu = this.any(GPUS)
    const card = { ...this.peer(id, 'node'), name: `${this.any(NAMES)}-${id}`, nat: this.any(NATS), gpu, models: [gpu.includes('4090') ? 'Qwen3-32B-Q4_K_M' : 'Qwen3-8B-Q4_K_M'], slots: SLOTS, version: '0.1.0', warned: this.random() < 0.02 }
    const relayed = card.nat === 'symmetric' ? this.random() < 0.6 : this.random() < 0.08
    this.nodes.set(id, { card, link: relayed ? 'relayed' : 'direct', rtt: Math.round((relayed ? 60 : 14) * (0.4 + this.random() * 1.8) * 10) / 10, answers: new Set(), speed: SPEED[gpu] ?? 25 + this.random() * 40, tokens: 0, told: '' })
    return id
  }

  free(but) {
    const nodes = [...this.nodes.values()].filter((n) => n.answers.size < SLOTS && n.card.id !== but)
    return nodes.length > 0 ? this.any(nodes) : null
  }

  /** One second: what is told of it. */
  step(at) {
    const events = []
    const [peers, gone] = [[], []]
    const tell = (what, more) => events.push({ at_ms: at - Math.floor(this.random() * 900), what, ...more })
    const busy = this.count * SLOTS * 0.32
    for (let i = 0; i < busy / 12 && this.answers.size < busy; i += 1) {
      if (this.random() < 0.35) continue
      const node = this.free()
      if (!node) break
      const answer = this.next.answer++
      node.answers.add(answer)
      this.answers.set(answer, { node: node.card.id, left: 60 + this.random() * 700, tokens: 0 })
      tell('began', { peer: node.card.id, answer })
    }
    if (this.random() < 0.03 && this.nodes.size > 2) this.lose(tell, gone)
    if (this.nodes.size < this.count && this.random() < 0.25) {
      const id = this.join()
      peers.push(this.nodes.get(id).card)
      tell('joined', { peer: id })
    }
    this.compute(tell)
    for (const node of this.nodes.values()) {
      if (node.link === 'relayed' && this.random() < 0.0005) {
        node.link = 'direct'
        tell('direct', { peer: node.card.id })
      }
    }
    this.waiting = Math.max(0, Math.min(9, this.waiting + Math.round(this.random() * 2 - 1.1)))
    events.sort((a, b) => a.at_ms - b.at_ms)
    return this.changes(at, { peers, gone, events })
  }

  /** A node dies, and what it had goes on elsewhere. */
  lose(tell, gone) {
    const victim = this.any([...this.nodes.values()].sort((a, b) => b.answers.size - a.answers.size).slice(0, 8))
    this.nodes.delete(victim.card.id)
    gone.push(victim.card.id)
    tell('left', { peer: victim.card.id })
    for (const answer of victim.answers) {
      const next = this.free(victim.card.id)
      if (!next) { this.answers.delete(answer); continue }
      next.answers.add(answer)
      this.answers.get(answer).node = next.card.id
      tell('moved', { peer: next.card.id, from: victim.card.id, answer })
    }
  }

  compute(tell) {
    for (const node of this.nodes.values()) node.tokens = 0
    for (const [number, answer] of this.answers) {
      const node = this.nodes.get(answer.node)
      const tokens = Math.round(node.speed * (0.8 + this.random() * 0.4) / Math.max(1, node.answers.size * 0.6))
      node.tokens += tokens
      answer.tokens += tokens
      answer.left -= tokens
      if (answer.left > 0) continue
      node.answers.delete(number)
      this.answers.delete(number)
      tell('ended', { peer: answer.node, answer: number, tokens: answer.tokens })
    }
  }

  changes(at, { peers = [], gone = [], events = [] } = {}) {
    const pulses = []
    for (const node of this.nodes.values()) {
      const pulse = [node.card.id, node.link, node.rtt, node.answers.size, node.tokens]
      if (node.told === String(pulse)) continue
      node.told = String(pulse)
      pulses.push(pulse)
    }
    return { type: 'changes', at_ms: at, peers, gone, pulses, events, totals: { nodes: this.nodes.size, running: this.answers.size + this.waiting, waiting: this.waiting } }
  }

  whole(at) {
    for (const node of this.nodes.values()) node.told = ''
    const changes = this.changes(at, { peers: [...this.others, ...[...this.nodes.values()].map((n) => n.card)] })
    changes.pulses.unshift([0, 'direct', null, 0, 0], [1, 'direct', 8.2, 0, 0], [2, 'direct', 31, 0, 0])
    if (this.others.length > 3) changes.pulses.unshift([3, 'direct', 12.4, 0, 0])
    return changes
  }

  detail(peer, like) {
    const node = [...this.nodes.values()].find((n) => n.card.peer === peer)
    if (!node) return null
    const { card, link, rtt, answers, speed } = node
    const gpus = card.gpu.startsWith('CPU') ? [] : [{ name: card.gpu, memory: { total: 12.9e9, used: 6.1e9 + answers.size * 5e8 }, utilization_percent: Math.min(99, 4 + answers.size * 24), temperature_celsius: 44 + answers.size * 7, power_watts: 31 + answers.size * 42 }]
    return { ...like, offers: [], loadable: [], drained: false, paused: null, peer, name: card.name, path: link, rtt_ms: rtt, slots_free: SLOTS - answers.size, slots_total: SLOTS, models: card.models, device: card.gpu, gpus, decode_tokens_per_second: Math.round(speed), network: { nat: card.nat, udp: true, ipv6: null, relays: link === 'relayed' ? 2 : 0, mapped: false }, warning: card.warned ? 'the GPU is hot and slower than it could be' : '' }
  }
}

/** One swarm for all who watch: `watch(send)` tells it all and then what changes, until what it returns is called. */
export function feed(count, seed = 7) {
  const swarm = new Swarm(count, seed)
  const watchers = new Set()
  const second = () => Math.floor(Date.now() / 1000) * 1000
  const base = swarm.whole(second() - HISTORY_S * 1000)
  const history = [base]
  for (let at = base.at_ms + 1000; at <= second(); at += 1000) history.push(swarm.step(at))
  const timer = setInterval(() => {
    const changes = swarm.step(history.at(-1).at_ms + 1000)
    history.push(changes)
    for (const send of watchers) send(changes)
  }, 1000)
  timer.unref()
  return {
    detail: (peer, like) => swarm.detail(peer, like),
    watch(send) {
      send({ type: 'picture', at_ms: base.at_ms, now_ms: history.at(-1).at_ms, me: 0 })
      for (const changes of history) send(changes)
      watchers.add(send)
      return () => watchers.delete(send)
    },
  }
}
