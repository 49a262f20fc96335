// What is written around the rings: which nodes stand together, by what lies between them and the others and by what
// computes there. What has no room is left out; the list says it all.
import type { Camera } from './camera'
import type { Colours } from './colours'
import type { Arc } from './layout'
import { write, type Still } from './paint'

interface Box { left: number; right: number; top: number; bottom: number }

const STEPS = 48

export function drawLabels(pen: CanvasRenderingContext2D, still: Still, camera: Camera): void {
  const { scene: { arrangement }, colours, words } = still
  const { sectors, groups, outer } = arrangement
  if (groups.length === 0) return
  const taken: Box[] = []
  for (const sector of sectors) drawArc(pen, camera, sector, outer + 0.62, colours)
  for (const sector of sectors) {
    const alone = groups.filter((group) => group.nat === sector.nat)
    const only = alone.length === 1 && alone[0] ? ` · ${alone[0].gpu}` : ''
    place(pen, camera, taken, { arc: sector, ring: outer + 0.62, far: 1, text: `${words.nat(sector.nat)}${only} · ${sector.count}`, colours, strong: true })
  }
  for (const group of [...groups].sort((a, b) => b.count - a.count)) {
    if (groups.filter((other) => other.nat === group.nat).length < 2) continue
    place(pen, camera, taken, { arc: group, ring: outer + 0.62, far: 0, text: `${group.gpu} · ${group.count}`, colours, strong: false })
  }
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

