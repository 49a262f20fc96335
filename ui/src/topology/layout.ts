// Where everybody stands: the gateways in the middle, the nodes in rings around them, by what stands between them and the
// others (NAT), and within that by what computes there. A node keeps its seat for as long as it is known, and seats are
// given out in bulk, so that one who comes or goes moves nobody else. The same crowd always stands alike.
import type { Nat, TopologyPeer } from '../wire'

export interface Point { x: number; y: number }
/** On a plane where two neighbours are about 1 apart, in the middle of which is the gateway. */
export interface Place { angle: number; radius: number }
export interface Arc { from: number; to: number }
export interface Group extends Arc { nat: Nat; gpu: string; count: number }
export interface Sector extends Arc { nat: Nat; count: number }

export interface Arrangement {
  places: ReadonlyMap<number, Place>
  sectors: readonly Sector[]
  groups: readonly Group[]
  /** Of the outermost ring, and of the innermost. */
  outer: number
  inner: number
}

/** From those who are easily reached to those who are not. */
const NATS: readonly Nat[] = ['open', 'full_cone', 'cone', 'symmetric', 'unknown']
const CAPACITIES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
const SECTOR_GAP = 0.16
const GROUP_GAP = 0.06
const TURN = 2 * Math.PI
const INNERMOST = 2.4
const HOLLOW = 0.42
/** More than a thousand nodes of a hundred kinds need. */
const LARGEST = 120

/** What computes, in as few words as tell it apart. */
export function shortGpu(name: string): string {
  if (/^(cpu|scripted)\b/i.test(name) || name === '') return 'CPU'
  return name.replace(/^[\w+]+: /, '').replace(/\((R|TM)\)/gi, '').replace(/NVIDIA |GeForce |AMD |Radeon |Intel |Graphics/g, '').trim() || name
}

interface Bench { nat: Nat; gpu: string; seats: (string | null)[]; count: number }

export class Layout {
  private readonly benches = new Map<string, Bench>()
  private readonly seatOf = new Map<string, { bench: Bench; seat: number }>()

  arrange(cards: Iterable<TopologyPeer>): Arrangement {
    const nodes = [...cards].filter((card) => card.role === 'node').sort((a, b) => (a.peer < b.peer ? -1 : 1))
    this.leave(nodes)
    for (const node of nodes) this.sit(node)
    const benches = [...this.benches.values()].sort(inOrder)
    const ground = geometry(benches)
    const places = new Map<number, Place>()
    for (const node of nodes) {
      const { bench, seat } = this.seatOf.get(node.peer) ?? {}
      const place = bench && ground.seats.get(bench)?.[seat ?? 0]
      if (place) places.set(node.id, place)
    }
    return { places, ...ground }
  }

  private leave(nodes: readonly TopologyPeer[]): void {
    const benchOf = new Map(nodes.map((node) => [node.peer, keyOf(node)]))
    for (const [peer, { bench, seat }] of this.seatOf) {
      if (benchOf.get(peer) === `${bench.nat} ${bench.gpu}`) continue
      bench.seats[seat] = null
      bench.count -= 1
      this.seatOf.delete(peer)
      if (bench.count === 0) this.benches.delete(`${bench.nat} ${bench.gpu}`)
    }
  }

  private sit(node: TopologyPeer): void {
    if (this.seatOf.has(node.peer)) return
    const key = keyOf(node)
    const bench = this.benches.get(key) ?? { nat: node.nat, gpu: shortGpu(node.gpu), seats: [], count: 0 }
    this.benches.set(key, bench)
    const free = bench.seats.indexOf(null)
    const seat = free < 0 ? bench.seats.length : free
    bench.seats[seat] = node.peer
    bench.count += 1
    this.seatOf.set(node.peer, { bench, seat })
  }
}

function keyOf(node: TopologyPeer): string {
  return `${node.nat} ${shortGpu(node.gpu)}`
}

function inOrder(a: Bench, b: Bench): number {
  return NATS.indexOf(a.nat) - NATS.indexOf(b.nat) || (a.gpu < b.gpu ? -1 : a.gpu > b.gpu ? 1 : 0)
}

function capacity({ seats }: Bench): number {
  return CAPACITIES.find((size) => size >= seats.length) ?? seats.length
}

interface Ground { sectors: Sector[]; groups: Group[]; inner: number; outer: number; seats: Map<Bench, Place[]> }

/** The smallest rings in which every bench has its seats. About two fifths of it stay free for those in the middle. */
function geometry(benches: readonly Bench[]): Ground {
  const gaps = gapsOf(benches)
  for (let outer = INNERMOST; outer < LARGEST; outer += 0.25) {
    const rings = Math.max(1, Math.floor(outer - Math.max(INNERMOST, outer * HOLLOW) + 1))
    const inner = outer - rings + 1
    const seated = seat(benches, inner, rings, gaps)
    if (seated) return { ...seated, inner, outer }
  }
  return { sectors: [], groups: [], inner: INNERMOST, outer: INNERMOST, seats: new Map() }
}

function gapsOf(benches: readonly Bench[]): { sector: number; group: number; total: number } {
  const sectors = new Set(benches.map((bench) => bench.nat)).size
  const [between, within] = [sectors > 1 ? sectors : 0, Math.max(benches.length - sectors, 0)]
  const wished = between * SECTOR_GAP + within * GROUP_GAP
  const scale = Math.min(1, (0.3 * TURN) / Math.max(wished, 0.001))
  return { sector: SECTOR_GAP * scale, group: GROUP_GAP * scale, total: wished * scale }
}

function seat(benches: readonly Bench[], inner: number, rings: number, gaps: ReturnType<typeof gapsOf>): Omit<Ground, 'inner' | 'outer'> | null {
  const needed = benches.map((bench) => angleFor(capacity(bench), inner, rings))
  const free = TURN - gaps.total
  const all = needed.reduce((sum, one) => sum + one, 0)
  if (all > free) return null
  const seats = new Map<Bench, Place[]>()
  const [groups, sectors]: [Group[], Sector[]] = [[], []]
  // From above, so that the largest gap is there when there is one.
  let angle = -Math.PI / 2 + (benches.length > 1 ? gaps.sector / 2 : 0)
  for (const [i, bench] of benches.entries()) {
    const arc = { from: angle, to: angle + ((needed[i] ?? 0) * free) / all }
    seats.set(bench, seatsIn(arc, inner, rings, benches.length === 1))
    groups.push({ ...arc, nat: bench.nat, gpu: bench.gpu, count: bench.count })
    const sector = sectors.at(-1)
    if (sector?.nat === bench.nat) Object.assign(sector, { to: arc.to, count: sector.count + bench.count })
    else sectors.push({ ...arc, nat: bench.nat, count: bench.count })
    angle = arc.to + (benches[i + 1]?.nat === bench.nat ? gaps.group : gaps.sector)
  }
  return { groups, sectors, seats }
}

/** The narrowest part of the rings with so many seats. */
function angleFor(capacity: number, inner: number, rings: number): number {
  const places = (angle: number) => {
    let count = 0
    for (let ring = 0; ring < rings; ring += 1) count += Math.floor(angle * (inner + ring) + 1e-9)
    return count
  }
  let angle = capacity / (rings * (inner + (rings - 1) / 2))
  while (places(angle) < capacity) angle += 0.002
  return angle
}

/** Spreads what comes one after another evenly over a ring. */
const spread = (index: number) => (index * 0.6180339887) % 1

/** From the outside to the inside, and in each ring from the middle to the edges. */
function seatsIn({ from, to }: Arc, inner: number, rings: number, round: boolean): Place[] {
  const places: Place[] = []
  for (let ring = rings - 1; ring >= 0; ring -= 1) {
    const radius = inner + ring
    const count = Math.floor((to - from) * radius + 1e-9)
    const step = (to - from) / count
    // A whole ring has no edges; every other one is turned by half a seat.
    const turned = round && ring % 2 === 1 ? step / 2 : 0
    const row = Array.from({ length: count }, (_, i) => ({ angle: from + (i + 0.5) * step + turned, radius, turn: spread(i) }))
    const middle = (from + to) / 2
    row.sort((a, b) => (round ? a.turn - b.turn : Math.abs(a.angle - middle) - Math.abs(b.angle - middle)))
    places.push(...row)
  }
  return places
}
