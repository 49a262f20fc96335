// The swarm's last ten minutes: how it was at first, and every change since. How it was at any moment follows from that.
// Knows the frames of the gateway and no clock: whoever asks says which moment is meant.
import type { PeerLink, ServerFrame, TopologyEvent, TopologyPeer, TopologyTotals } from '../wire'

/** How far back one can look. */
export const SPAN_MS = 600_000
/** Events that are kept; the gateway keeps as many. */
const MAX_EVENTS = 4096
/** Every so many steps the whole picture is kept beside the step, so that looking back is quick. */
const KEY_EVERY = 40

export interface Peer {
  readonly card: TopologyPeer
  readonly link: PeerLink
  readonly rtt: number | null
  readonly used: number
  /** Tokens within the last second. */
  readonly tokens: number
}

export type Peers = ReadonlyMap<number, Peer>

export interface Moment {
  readonly peers: Peers
  readonly totals: TopologyTotals
  /** Changes with the picture: whoever has drawn this one need not draw it again. */
  readonly step: number
}

/** The swarm in numbers at one moment, for the chart below it. */
export interface Beat { at: number; tokens: number; running: number; waiting: number; nodes: number }

type Changes = Extract<ServerFrame, { type: 'changes' }>
interface Step extends Beat { changes: Changes; whole: boolean; after: Map<number, Peer> | null }

const NOBODY: TopologyTotals = { nodes: 0, running: 0, waiting: 0 }

export class Timeline {
  /** Everybody of the last ten minutes, also those who have left: events name them. */
  readonly cards = new Map<number, TopologyPeer>()
  events: TopologyEvent[] = []
  me: number | null = null
  /** Goes up with every change of who there is. */
  crowd = 0
  private steps: Step[] = []
  private base = new Map<number, Peer>()
  private baseAt = 0
  private now = new Map<number, Peer>()
  /** Steps that have fallen out. */
  private dropped = 0
  private replay: { step: number; peers: Map<number, Peer> } | null = null
  private fresh = true
  private clearing = false

  /** All is forgotten; what comes next is the whole of it. */
  clear(): void {
    this.cards.clear()
    this.events = []
    this.steps = []
    this.base = new Map()
    this.now = new Map()
    this.baseAt = this.dropped = 0
    this.replay = null
    this.fresh = true
    this.crowd += 1
  }

  get from(): number { return this.baseAt }
  get to(): number { return this.steps.at(-1)?.at ?? this.baseAt }

  take(frame: ServerFrame): void {
    if (frame.type === 'picture') this.picture(frame.me, frame.at_ms)
    else if (frame.type === 'changes') this.change(frame)
  }

  /** The swarm at that moment: the last step that is not after it. */
  at(moment: number): Moment {
    let [low, high] = [0, this.steps.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.steps[middle]?.at ?? Infinity) <= moment) low = middle + 1
      else high = middle
    }
    const last = this.steps[low - 1]
    const peers = low === this.steps.length ? this.now : this.replayed(low)
    return { peers, totals: last?.changes.totals ?? NOBODY, step: this.dropped + low }
  }

  beats(): readonly Beat[] {
    return this.steps
  }

  /** The newest first, none after that moment. */
  eventsUntil(moment: number, most: number, wanted: (event: TopologyEvent) => boolean = () => true): TopologyEvent[] {
    const found: TopologyEvent[] = []
    for (let i = this.events.length - 1; i >= 0 && found.length < most; i -= 1) {
      const event = this.events[i]
      if (event && event.at_ms <= moment && wanted(event)) found.push(event)
    }
    return found
  }

  /** The first picture is where all begins. Another one says that something was missed, and how it is now. */
  private picture(me: number, at: number): void {
    this.me = me
    if (this.fresh) this.baseAt = at
    else this.clearing = true
    this.fresh = false
  }

  private change(changes: Changes): void {
    const whole = this.clearing
    this.clearing = false
    if (whole) this.now = new Map()
    apply(this.now, changes)
    for (const card of changes.peers) this.cards.set(card.id, card)
    if (whole || changes.peers.length > 0) this.crowd += 1
    let tokens = 0
    for (const peer of this.now.values()) tokens += peer.tokens
    const number = this.dropped + this.steps.length
    const after = number % KEY_EVERY === 0 ? new Map(this.now) : null
    this.steps.push({ changes, whole, after, at: changes.at_ms, tokens, ...changes.totals })
    this.events.push(...changes.events)
    this.trim()
  }

  private trim(): void {
    const oldest = this.to - SPAN_MS
    let count = 0
    for (let step = this.steps[0]; step && step.at < oldest; step = this.steps[count]) {
      if (step.whole) this.base = new Map()
      apply(this.base, step.changes)
      this.baseAt = step.at
      count += 1
    }
    if (count > 0) {
      this.steps.splice(0, count)
      this.dropped += count
      this.replay = null
      this.forgetCards()
    }
    const old = this.events.findIndex((event) => event.at_ms >= oldest)
    const most = this.events.length - MAX_EVENTS
    const drop = Math.max(old < 0 ? this.events.length : old, most)
    if (drop > 0) this.events.splice(0, drop)
  }

  /** Who left longer ago than one can look back is not needed any more. */
  private forgetCards(): void {
    if (this.cards.size <= this.now.size) return
    const needed = new Set([...this.base.keys(), ...this.now.keys()])
    for (const step of this.steps) for (const card of step.changes.peers) needed.add(card.id)
    for (const id of this.cards.keys()) {
      if (needed.has(id)) continue
      this.cards.delete(id)
      this.crowd += 1
    }
  }

  /** The picture behind the first `count` steps. The last one asked for is kept, since the next is mostly near it. */
  private replayed(count: number): Peers {
    const wanted = this.dropped + count
    let from = this.replay && this.replay.step <= wanted ? this.replay : null
    for (let i = count - 1; i >= 0 && (!from || this.dropped + i + 1 > from.step); i -= 1) {
      const after = this.steps[i]?.after
      if (!after) continue
      from = { step: this.dropped + i + 1, peers: new Map(after) }
      break
    }
    from ??= { step: this.dropped, peers: new Map(this.base) }
    for (let i = from.step - this.dropped; i < count; i += 1) {
      const step = this.steps[i]
      if (!step) break
      if (step.whole) from.peers.clear()
      apply(from.peers, step.changes)
    }
    from.step = wanted
    this.replay = from
    return from.peers
  }
}

function apply(peers: Map<number, Peer>, { gone, peers: cards, pulses }: Changes): void {
  for (const id of gone) peers.delete(id)
  for (const card of cards) {
    const known = peers.get(card.id)
    peers.set(card.id, known ? { ...known, card } : { card, link: 'none', rtt: null, used: 0, tokens: 0 })
  }
  for (const [id, link, rtt, used, tokens] of pulses) {
    const known = peers.get(id)
    if (known) peers.set(id, { card: known.card, link, rtt, used, tokens })
  }
}
