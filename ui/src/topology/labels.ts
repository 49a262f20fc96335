// What is written: around the rings which nodes stand together, by what lies between them and the others and by what
// computes there, and under nodes that are large enough their names. What has no room is left out; the list says it all.
import type { Camera } from './camera'
import type { Colours } from './colours'
import { shortGpu, type Arc, type Group, type Sector } from './layout'
import { write, type Still } from './paint'

interface Box { left: number; right: number; top: number; bottom: number }

const STEPS = 48
/** Names are written under nodes from this size on, and more beside them from the second. */
const [NAMED_FROM, MORE_FROM] = [9.5, 12.5]

export function drawLabels(pen: CanvasRenderingContext2D, still: Still, camera: Camera): void {
  const { scene: { arrangement }, colours, words } = still
  const { outer } = arrangement
  const { sectors, groups } = present(still)
  if (groups.length === 0) return
  const taken: Box[] = discs(still)
  for (const sector of sectors) drawArc(pen, camera, sector, outer + 0.62, colours)
  for (const sector of sectors) {
    const alone = groups.filter((group) => group.nat === sector.nat)
    const only = !still.narrow && alone.length === 1 && alone[0] ? ` · ${alone[0].gpu}` : ''
    place(pen, camera, taken, { arc: sector, ring: outer + 0.62, far: 1, text: `${words.nat(sector.nat)}${only} · ${sector.count}`, colours, strong: true })
  }
  if (still.narrow) return
  drawGroups(pen, camera, taken, groups, still)
  if (still.scene.nodeRadius >= NAMED_FROM) drawNames(pen, still, camera, taken)
}

function drawGroups(pen: CanvasRenderingContext2D, camera: Camera, taken: Box[], groups: Group[], { scene, colours }: Still): void {
  const ring = scene.arrangement.outer + 0.62
  for (const group of [...groups].sort((a, b) => b.count - a.count)) {
    if (groups.filter((other) => other.nat === group.nat).length < 2) continue
    place(pen, camera, taken, { arc: group, ring, far: 0, text: `${group.gpu} · ${group.count}`, colours, strong: false })
  }
}

/** Where nobody writes. */
function discs({ scene, peers }: Still): Box[] {
  const boxes: Box[] = []
  for (const id of peers.keys()) {
    const spot = scene.spots.get(id)
    if (spot) boxes.push({ left: spot.x - spot.radius, right: spot.x + spot.radius, top: spot.y - spot.radius, bottom: spot.y + spot.radius })
  }
  return boxes
}

function drawNames(pen: CanvasRenderingContext2D, { scene, peers, colours, words }: Still, camera: Camera, taken: Box[]): void {
  const put = (text: string, x: number, y: number, size: number, colour: string): boolean => {
    pen.font = `400 ${size}px ${colours.font}`
    const half = pen.measureText(text).width / 2
    const box = { left: x - half, right: x + half, top: y - size * 0.55, bottom: y + size * 0.55 }
    if (!fits(box, camera.size) || taken.some((other) => overlap(box, other))) return false
    taken.push(box)
    write(pen, colours, text, x, y, colour, size)
    return true
  }
  for (const [id, { card, rtt }] of peers) {
    const spot = card.role === 'node' ? scene.spots.get(id) : undefined
    if (!spot) continue
    const name = card.name.length > 18 ? `${card.name.slice(0, 17)}…` : card.name
    const under = spot.y + spot.radius
    if (!put(name, spot.x, under + 9, 11, colours['ink-soft']) || rtt === null || scene.nodeRadius < MORE_FROM) continue
    put(words.milliseconds(rtt), spot.x, under + 21, 10, colours['ink-faint'])
  }
}

/** Seats are kept for those who have left; counted are those who are here. */
function present({ scene: { arrangement }, peers }: Still): { sectors: Sector[]; groups: Group[] } {
  const counts = new Map<string, number>()
  for (const { card } of peers.values()) {
    if (card.role !== 'node') continue
    for (const key of [card.nat, `${card.nat} ${shortGpu(card.gpu)}`]) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const here = <T extends { count: number }>(all: readonly T[], key: (one: T) => string) =>
    all.map((one) => ({ ...one, count: counts.get(key(one)) ?? 0 })).filter((one) => one.count > 0)
  return { sectors: here(arrangement.sectors, (one) => one.nat), groups: here(arrangement.groups, (one) => `${one.nat} ${one.gpu}`) }
}

function drawArc(pen: CanvasRenderingContext2D, camera: Camera, arc: Arc, radius: number, colours: Colours): void {
  pen.beginPath()
  for (let i = 0; i <= STEPS; i += 1) {
    const point = camera.point({ angle: arc.from + ((arc.to - arc.from) * i) / STEPS, radius })
    if (i === 0) pen.moveTo(point.x, point.y)
    else pen.lineTo(point.x, point.y)
  }
  pen.strokeStyle = colours['line-strong']
  pen.lineWidth = 1
  pen.globalAlpha = 0.6
  pen.stroke()
  pen.globalAlpha = 1
}

interface Label { arc: Arc; ring: number; far: number; text: string; colours: Colours; strong: boolean }

/** Beside the arc, on its outer side; near its middle where there is room. */
function place(pen: CanvasRenderingContext2D, camera: Camera, taken: Box[], label: Label): void {
  const size = label.strong ? 12 : 11
  pen.font = `${label.strong ? 600 : 400} ${size}px ${label.colours.font}`
  const width = pen.measureText(label.text).width
  for (const turn of [0.5, 0.3, 0.7, 0.15, 0.85]) {
    const angle = label.arc.from + (label.arc.to - label.arc.from) * turn
    const edge = camera.point({ angle, radius: label.ring })
    const away = { x: Math.cos(angle), y: Math.sin(angle) }
    const room = label.far * 14 + 9
    const x = edge.x + away.x * (width / 2 + 6)
    const y = edge.y + away.y * room
    const box = { left: x - width / 2 - 3, right: x + width / 2 + 3, top: y - size * 0.7, bottom: y + size * 0.7 }
    if (!fits(box, camera.size) || taken.some((other) => overlap(box, other))) continue
    taken.push(box)
    const { ink, 'ink-soft': soft } = label.colours
    return write(pen, label.colours, label.text, x, y, label.strong ? ink : soft, size, label.strong ? 600 : 400)
  }
}

function fits(box: Box, { width, height }: { width: number; height: number }): boolean {
  return box.left > 2 && box.right < width - 2 && box.top > 2 && box.bottom < height - 2
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

