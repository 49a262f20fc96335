// What is to be drawn of a moment, in pixels: where everybody is, and which way their lines go. Made anew when the crowd,
// the picture's size or its part that is shown changes, and never while tokens move.
import type { PeerRole, TopologyPeer } from '../wire'
import type { Camera } from './camera'
import type { Arrangement, Place, Point } from './layout'

export interface Spot extends Point {
  readonly id: number
  readonly card: TopologyPeer
  readonly place: Place
  readonly radius: number
  /** The bend of its line to the gateway. */
  readonly bend: Point
}

export interface Scene {
  readonly spots: ReadonlyMap<number, Spot>
  readonly center: Point
  readonly nodeRadius: number
  readonly gatewayRadius: number
  readonly arrangement: Arrangement
}

/** Lines leave the middle with a slight turn, as a flock does. */
const SWIRL = 0.1
/** Pixels between two names, one above the other. */
const READABLE = 74

export function sceneOf(arrangement: Arrangement, cards: Iterable<TopologyPeer>, me: number | null, camera: Camera): Scene {
  const spots = new Map<number, Spot>()
  const nodeRadius = camera.nodeRadius()
  const gatewayRadius = Math.min(Math.max(nodeRadius * 1.9, 13), 30)
  const around: Record<Exclude<PeerRole, 'node'>, TopologyPeer[]> = { gateway: [], bootstrap: [] }
  const set = (card: TopologyPeer, place: Place, radius: number) => {
    const bend = camera.point({ angle: place.angle - SWIRL, radius: place.radius * 0.55 })
    spots.set(card.id, { ...camera.point(place), id: card.id, card, place, radius, bend })
  }
  for (const card of cards) {
    const place = arrangement.places.get(card.id)
    if (place) set(card, place, nodeRadius)
    else if (card.role !== 'node' && card.id !== me) around[card.role].push(card)
    else if (card.id === me) set(card, { angle: 0, radius: 0 }, gatewayRadius)
  }
  const others = Math.min(Math.max(nodeRadius * 1.1, 7), 15)
  // So far from the middle that both can be read, and never among the nodes.
  const away = Math.min(Math.max(arrangement.inner * 0.42, READABLE / camera.scale.y), arrangement.inner * 0.62)
  spread(around.gateway, away, 0, (card, place) => set(card, place, gatewayRadius * 0.8))
  spread(around.bootstrap, away, 0.75 * Math.PI, (card, place) => set(card, place, others))
  return { spots, center: camera.center(), nodeRadius, gatewayRadius, arrangement }
}

function spread(cards: TopologyPeer[], radius: number, first: number, set: (card: TopologyPeer, place: Place) => void): void {
  cards.sort((a, b) => (a.peer < b.peer ? -1 : 1))
  cards.forEach((card, i) => set(card, { angle: first + (i * 2 * Math.PI) / cards.length, radius }))
}

/** On the way from a peer (0) to the gateway (1). */
export function along({ x, y, bend }: Spot, center: Point, t: number): Point {
  const [a, b, c] = [(1 - t) * (1 - t), 2 * t * (1 - t), t * t]
  return { x: a * x + b * bend.x + c * center.x, y: a * y + b * bend.y + c * center.y }
}

/** Who is at this point of the screen, or near enough for a finger. */
export function spotAt(scene: Scene, point: Point, shown: (id: number) => boolean): Spot | null {
  let [best, nearest]: [Spot | null, number] = [null, Infinity]
  for (const spot of scene.spots.values()) {
    const distance = Math.hypot(spot.x - point.x, spot.y - point.y)
    if (distance < nearest && distance < Math.max(spot.radius + 4, 14) && shown(spot.id)) [best, nearest] = [spot, distance]
  }
  return best
}
