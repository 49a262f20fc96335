// Draws what stands still: lines, peers and what is written beside them. Drawn anew when the swarm changes, once a second
// at most, and not with every frame.
import type { Colours } from './colours'
import type { Scene, Spot } from './scene'
import type { Peer, Peers } from './timeline'

type Pen = CanvasRenderingContext2D

const TURN = 2 * Math.PI

export interface Words { nat(nat: string): string; milliseconds(ms: number): string; gateway: string; otherGateway: string; bootstrap: string }

/** `narrow`: only what is needed is written. */
export interface Still { scene: Scene; peers: Peers; colours: Colours; words: Words; me: number | null; narrow: boolean }

export function drawLines(pen: Pen, { scene, peers, colours }: Still): void {
  const ways = { direct: new Path2D(), relayed: new Path2D() }
  for (const [id, { link }] of peers) {
    const spot = scene.spots.get(id)
    if (!spot || link === 'none' || spot.place.radius === 0) continue
    const way = ways[link]
    way.moveTo(scene.center.x, scene.center.y)
    way.quadraticCurveTo(spot.bend.x, spot.bend.y, spot.x, spot.y)
  }
  const faint = peers.size > 200 ? 0.7 : 1
  pen.lineWidth = peers.size > 200 ? 0.8 : 1.1
  pen.globalAlpha = 0.34 * faint
  pen.strokeStyle = colours.accent
  pen.stroke(ways.direct)
  pen.globalAlpha = 0.6 * faint
  pen.strokeStyle = colours.violet
  pen.setLineDash([5, 4])
  pen.stroke(ways.relayed)
  pen.setLineDash([])
  pen.globalAlpha = 1
}

export function drawPeers(pen: Pen, still: Still): void {
  const { scene, peers } = still
  const nodes: [Spot, Peer][] = []
  for (const [id, peer] of peers) {
    const spot = scene.spots.get(id)
    if (!spot) continue
    if (peer.card.role === 'node') nodes.push([spot, peer])
    else if (peer.card.role === 'gateway') drawGateway(pen, still, spot)
    else drawBootstrap(pen, still, spot, peer)
  }
  drawNodes(pen, still, nodes)
}

/** The disc is the node; what is filled of it is what of its slots is taken. */
function drawNodes(pen: Pen, { scene, colours }: Still, nodes: [Spot, Peer][]): void {
  const radius = scene.nodeRadius
  disc(pen, nodes, () => radius, colours.raised)
  for (const [link, colour] of [['direct', colours.accent], ['relayed', colours.violet]] as const) {
    const linked = nodes.filter(([, peer]) => peer.link === link && !isTroubled(peer))
    disc(pen, linked.filter(([, peer]) => peer.used > 0), ([, peer]) => radius * filled(peer), colour)
    ring(pen, linked, radius, colour)
  }
  const troubled = nodes.filter(([, peer]) => isTroubled(peer))
  disc(pen, troubled.filter(([, peer]) => peer.used > 0), ([, peer]) => radius * filled(peer), colours.warn)
  ring(pen, troubled, radius, colours.warn)
}

/** Its owner should look at it, or it is given nothing. */
const isTroubled = ({ card }: Peer): boolean => card.warned || card.drained || card.paused !== null

/** The area says it: half of the slots are half of the disc. */
function filled({ used, card }: Peer): number {
  return Math.max(0.28, 0.94 * Math.sqrt(Math.min(1, used / Math.max(card.slots, 1))))
}

function disc(pen: Pen, nodes: [Spot, Peer][], radius: (node: [Spot, Peer]) => number, colour: string): void {
  pen.fillStyle = colour
  pen.beginPath()
  for (const node of nodes) {
    const [{ x, y }, size] = [node[0], radius(node)]
    pen.moveTo(x + size, y)
    pen.arc(x, y, size, 0, TURN)
  }
  pen.fill()
}

function ring(pen: Pen, nodes: [Spot, Peer][], radius: number, colour: string): void {
  pen.strokeStyle = colour
  pen.lineWidth = radius > 8 ? 1.8 : 1.2
  pen.beginPath()
  for (const [{ x, y }] of nodes) {
    pen.moveTo(x + radius, y)
    pen.arc(x, y, radius, 0, TURN)
  }
  pen.stroke()
}

function drawGateway(pen: Pen, { colours, words, me, narrow }: Still, spot: Spot): void {
  const { x, y, radius } = spot
  const sheen = pen.createLinearGradient(x - radius, y - radius, x + radius, y + radius)
  sheen.addColorStop(0, colours['plumage-a'])
  sheen.addColorStop(1, colours['plumage-b'])
  pen.fillStyle = sheen
  pen.beginPath()
  pen.arc(x, y, radius, 0, TURN)
  pen.fill()
  // The speckles of a starling.
  pen.fillStyle = colours.speckle
  for (let i = 0; i < 9; i += 1) {
    const [angle, distance] = [i * 2.4, radius * 0.78 * Math.sqrt((i + 0.5) / 9)]
    pen.beginPath()
    pen.arc(x + Math.cos(angle) * distance, y + Math.sin(angle) * distance, Math.max(radius * 0.07, 0.8), 0, TURN)
    pen.fill()
  }
  if (!narrow) write(pen, colours, spot.id === me ? words.gateway : words.otherGateway, x, y + radius + 11, colours['ink-soft'], 11)
}

function drawBootstrap(pen: Pen, { colours, words, narrow }: Still, { x, y, radius }: Spot, { link, rtt }: Peer): void {
  pen.fillStyle = colours.raised
  pen.strokeStyle = link === 'none' ? colours['line-strong'] : colours['ink-soft']
  pen.lineWidth = 1.5
  pen.beginPath()
  pen.roundRect(x - radius * 0.8, y - radius * 0.8, radius * 1.6, radius * 1.6, 3)
  pen.fill()
  pen.stroke()
  pen.fillStyle = pen.strokeStyle
  pen.fillRect(x - radius * 0.25, y - radius * 0.25, radius * 0.5, radius * 0.5)
  if (narrow) return
  const label = rtt === null ? words.bootstrap : `${words.bootstrap} · ${words.milliseconds(rtt)}`
  write(pen, colours, label, x, y + radius + 10, colours['ink-faint'], 11)
}

/** With a seam, so that it can be read over lines. */
export function write(pen: Pen, colours: Colours, text: string, x: number, y: number, colour: string, size: number, weight = 400): void {
  pen.font = `${weight} ${size}px ${colours.font}`
  pen.textAlign = 'center'
  pen.textBaseline = 'middle'
  pen.lineJoin = 'round'
  pen.lineWidth = 3.5
  pen.strokeStyle = colours.surface
  pen.strokeText(text, x, y)
  pen.fillStyle = colour
  pen.fillText(text, x, y)
}
