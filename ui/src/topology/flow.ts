// Draws what moves: tokens on their way to the gateway, an answer that leaps from one node to the next, nodes that come
// and go. All of it follows from the moment that is shown, so it looks the same whether it is lived or looked back at.
import type { TopologyEvent } from '../wire'
import type { Colours } from './colours'
import type { Point } from './layout'
import { write } from './paint'
import { along, type Scene, type Spot } from './scene'
import type { Peers } from './timeline'

type Pen = CanvasRenderingContext2D

const TURN = 2 * Math.PI
/** A token's way takes so long. */
const WAY_MS = 1_900
/** Dots on one line, and on all of them. */
const MAX_DOTS = 5
const MAX_ALL_DOTS = 900
const LEAP_MS = 1_600
const GHOST_MS = 5_000
const ARRIVAL_MS = 1_200

export interface Moving {
  scene: Scene
  peers: Peers
  /** Of the last seconds, the newest first. */
  events: readonly TopologyEvent[]
  moment: number
  waiting: number
  colours: Colours
  /** Nothing moves: what would move is shown by rings and lines that stay. */
  still: boolean
}

export function drawFlow(pen: Pen, moving: Moving): void {
  drawTokens(pen, moving)
  drawWaiting(pen, moving)
  for (const event of moving.events) {
    const age = moving.moment - event.at_ms
    if (event.what === 'left') drawGhost(pen, moving, event, age)
    else if (event.what === 'joined') drawArrival(pen, moving, event, age)
    else if (event.what === 'moved') drawLeap(pen, moving, event, age)
    else if (event.what === 'failed') drawFailure(pen, moving, event, age)
  }
}

/** The more tokens, the more dots; where there are too many, each node has fewer. */
function drawTokens(pen: Pen, { scene, peers, moment, colours, still }: Moving): void {
  const flowing: [Spot, number][] = []
  let all = 0
  for (const [id, { tokens }] of peers) {
    const spot = tokens > 0 ? scene.spots.get(id) : undefined
    if (!spot) continue
    const dots = Math.min(MAX_DOTS, 1 + Math.floor(tokens / 15))
    flowing.push([spot, dots])
    all += dots
  }
  const share = Math.min(1, MAX_ALL_DOTS / Math.max(all, 1))
  const size = scene.nodeRadius > 8 ? 2.6 : 1.8
  pen.fillStyle = colours['plumage-a']
  pen.beginPath()
  for (const [spot, wished] of flowing) {
    const dots = Math.max(1, Math.round(wished * share))
    // Everybody's dots begin at another time.
    const phase = still ? 0.45 : moment / WAY_MS + (spot.id * 0.6180339) % 1
    for (let i = 0; i < dots; i += 1) {
      const { x, y } = along(spot, scene.center, (phase + i / dots) % 1)
      pen.moveTo(x + size, y)
      pen.arc(x, y, size, 0, TURN)
    }
  }
  pen.fill()
}

/** Answers in line stand around the gateway. */
function drawWaiting(pen: Pen, { scene, waiting, colours }: Moving): void {
  const shown = Math.min(waiting, 24)
  const radius = scene.gatewayRadius + 6
  pen.strokeStyle = colours.warn
  pen.lineWidth = 1.4
  for (let i = 0; i < shown; i += 1) {
    const angle = -Math.PI / 2 + (i * TURN) / Math.max(shown, 12)
    pen.beginPath()
    pen.arc(scene.center.x + Math.cos(angle) * radius, scene.center.y + Math.sin(angle) * radius, 2.2, 0, TURN)
    pen.stroke()
  }
}

function drawGhost(pen: Pen, { scene, peers, colours, still }: Moving, event: TopologyEvent, age: number): void {
  const spot = scene.spots.get(event.peer ?? -1)
  if (!spot || age > GHOST_MS || age < 0 || peers.has(spot.id)) return
  const fade = 1 - age / GHOST_MS
  pen.globalAlpha = fade
  pen.strokeStyle = colours.danger
  pen.lineWidth = 1.6
  circle(pen, spot, spot.radius)
  pen.beginPath()
  for (const side of [-1, 1]) {
    pen.moveTo(spot.x - spot.radius * 0.4, spot.y - spot.radius * 0.4 * side)
    pen.lineTo(spot.x + spot.radius * 0.4, spot.y + spot.radius * 0.4 * side)
  }
  pen.stroke()
  if (!still && age < 900) {
    pen.globalAlpha = 1 - age / 900
    circle(pen, spot, spot.radius + (age / 900) * 22)
  }
  pen.globalAlpha = 1
}

function drawArrival(pen: Pen, { scene, colours, still }: Moving, event: TopologyEvent, age: number): void {
  const spot = scene.spots.get(event.peer ?? -1)
  if (!spot || age > ARRIVAL_MS || age < 0) return
  const t = age / ARRIVAL_MS
  pen.globalAlpha = 1 - t
  pen.strokeStyle = colours.good
  pen.lineWidth = 2
  circle(pen, spot, spot.radius + (still ? 4 : t * 18))
  pen.globalAlpha = 1
}

function drawFailure(pen: Pen, { scene, colours }: Moving, event: TopologyEvent, age: number): void {
  const spot = scene.spots.get(event.peer ?? -1)
  if (!spot || age > ARRIVAL_MS || age < 0) return
  pen.globalAlpha = 1 - age / ARRIVAL_MS
  pen.strokeStyle = colours.danger
  pen.lineWidth = 2.5
  circle(pen, spot, spot.radius + 4)
  pen.globalAlpha = 1
}

/** From the node that had it to the one that has it now, in an arc past the middle, with a tail. */
function drawLeap(pen: Pen, { scene, colours, still }: Moving, event: TopologyEvent, age: number): void {
  const [from, to] = [scene.spots.get(event.from ?? -1), scene.spots.get(event.peer ?? -1)]
  if (!from || !to || age > LEAP_MS * 1.8 || age < 0) return
  const bend = { x: (from.x + to.x) / 2 + (scene.center.x - (from.x + to.x) / 2) * 0.45, y: (from.y + to.y) / 2 + (scene.center.y - (from.y + to.y) / 2) * 0.45 }
  const t = Math.min(1, age / LEAP_MS)
  const head = still ? 1 : t * t * (3 - 2 * t)
  const fade = age > LEAP_MS ? 1 - (age - LEAP_MS) / (LEAP_MS * 0.8) : 1
  pen.strokeStyle = colours.warn
  pen.globalAlpha = 0.85 * fade
  pen.lineWidth = 2.2
  pen.beginPath()
  pen.moveTo(from.x, from.y)
  for (let i = 1; i <= 24; i += 1) {
    const point = between(from, bend, to, (head * i) / 24)
    pen.lineTo(point.x, point.y)
  }
  pen.stroke()
  const { x, y } = between(from, bend, to, head)
  pen.globalAlpha = fade
  pen.fillStyle = colours.warn
  pen.beginPath()
  pen.arc(x, y, 5.5, 0, TURN)
  pen.fill()
  if (t === 1) circle(pen, to, to.radius + 4 + (age - LEAP_MS) / 60)
  if (event.answer !== undefined) write(pen, colours, `${event.answer}`, x, y - 14, colours.warn, 11, 600)
  pen.globalAlpha = 1
}

function between(from: Point, bend: Point, to: Point, t: number): Point {
  const [a, b, c] = [(1 - t) * (1 - t), 2 * t * (1 - t), t * t]
  return { x: a * from.x + b * bend.x + c * to.x, y: a * from.y + b * bend.y + c * to.y }
}

function circle(pen: Pen, { x, y }: Point, radius: number): void {
  pen.beginPath()
  pen.arc(x, y, radius, 0, TURN)
  pen.stroke()
}

/** Who is chosen, and who is pointed at. */
export function drawMarks(pen: Pen, { scene, colours }: Moving, chosen: Spot | null, pointed: { spot: Spot; text: string } | null): void {
  if (chosen) {
    pen.strokeStyle = colours.ink
    pen.lineWidth = 2
    circle(pen, chosen, chosen.radius + 5)
    pen.globalAlpha = 0.7
    pen.lineWidth = 1.4
    pen.beginPath()
    pen.moveTo(scene.center.x, scene.center.y)
    pen.quadraticCurveTo(chosen.bend.x, chosen.bend.y, chosen.x, chosen.y)
    pen.stroke()
    pen.globalAlpha = 1
  }
  if (!pointed) return
  pen.strokeStyle = colours['ink-soft']
  pen.lineWidth = 1.5
  circle(pen, pointed.spot, pointed.spot.radius + 3)
  write(pen, colours, pointed.text, pointed.spot.x, pointed.spot.y - pointed.spot.radius - 12, colours.ink, 12, 550)
}
