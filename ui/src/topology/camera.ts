// From the plane of the layout to the screen: the whole swarm fits at first; from there one can come nearer and move.
import type { Place, Point } from './layout'

export interface Size { width: number; height: number }

const NEAREST = 12
/** How much wider than high the rings may become, and the other way round. */
const STRETCH = 1.6
/** Room for what is written around the rings, in rings and in pixels. */
const MARGIN = 0.7
const LABELS = { width: 84, height: 34 }

export class Camera {
  size: Size = { width: 1, height: 1 }
  /** How much nearer than when all of it fits. */
  zoom = 1
  /** Goes up when anything moves. */
  version = 0
  private shift: Point = { x: 0, y: 0 }
  private outer = 3

  fit(size: Size, outer: number): void {
    if (size.width === this.size.width && size.height === this.size.height && outer === this.outer) return
    this.size = size
    this.outer = outer
    this.version += 1
  }

  reset(): void {
    this.zoom = 1
    this.shift = { x: 0, y: 0 }
    this.version += 1
  }

  /** Comes nearer by that factor, to that point of the screen. */
  zoomAt(point: Point, factor: number): void {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), NEAREST)
    const change = zoom / this.zoom
    const center = { x: this.size.width / 2, y: this.size.height / 2 }
    this.zoom = zoom
    this.move({
      x: (point.x - center.x - this.shift.x) * (1 - change),
      y: (point.y - center.y - this.shift.y) * (1 - change),
    })
  }

  move(by: Point): void {
    const reach = { x: (this.size.width / 2) * (this.zoom - 1), y: (this.size.height / 2) * (this.zoom - 1) }
    const within = (value: number, most: number) => Math.min(Math.max(value, -most), most)
    this.shift = { x: within(this.shift.x + by.x, reach.x), y: within(this.shift.y + by.y, reach.y) }
    this.version += 1
  }

  /** Pixels of one unit of the plane, across and up. */
  get scale(): Point {
    const { width, height } = this.size
    const room = { x: Math.max(width - 2 * Math.min(LABELS.width, width * 0.12), 50), y: Math.max(height - 2 * LABELS.height, 50) }
    const radius = this.outer + MARGIN
    const [across, up] = [room.x / 2 / radius, room.y / 2 / radius]
    return { x: Math.min(across, up * STRETCH) * this.zoom, y: Math.min(up, across * STRETCH) * this.zoom }
  }

  center(): Point {
    return { x: this.size.width / 2 + this.shift.x, y: this.size.height / 2 + this.shift.y }
  }

  point({ angle, radius }: Place): Point {
    const [scale, center] = [this.scale, this.center()]
    return { x: center.x + Math.cos(angle) * radius * scale.x, y: center.y + Math.sin(angle) * radius * scale.y }
  }

  /** How large a node is drawn, in pixels. */
  nodeRadius(): number {
    const { x, y } = this.scale
    return Math.min(Math.max(Math.min(x, y) * 0.37, 2), 9 + 8 * Math.sqrt(this.zoom))
  }
}
