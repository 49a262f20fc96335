// A mouse or fingers on the picture: point, choose, move it, come nearer.
import type { Ref } from 'vue'
import type { TopologyPeer } from '../wire'
import type { Point } from './layout'
import type { Stage } from './stage'

/** A finger that has moved no further has chosen. */
const CLICK = 6

export function usePointer(canvas: Ref<HTMLCanvasElement | null>, stage: () => Stage | null, choose: (peer: TopologyPeer | null) => void) {
  const fingers = new Map<number, Point>()
  let travelled = 0

  const place = (event: MouseEvent): Point => {
    const box = canvas.value?.getBoundingClientRect()
    return { x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) }
  }

  function down(event: PointerEvent): void {
    fingers.set(event.pointerId, place(event))
    canvas.value?.setPointerCapture(event.pointerId)
    if (fingers.size === 1) travelled = 0
  }

  function move(event: PointerEvent): void {
    const view = stage()
    if (!view) return
    const to = place(event)
    const from = fingers.get(event.pointerId)
    if (event.pointerType === 'mouse') view.pointer = from && travelled > CLICK ? null : to
    if (!from) return
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1]
    travelled += Math.hypot(to.x - from.x, to.y - from.y)
    if (other) {
      const [before, after] = [Math.hypot(from.x - other.x, from.y - other.y), Math.hypot(to.x - other.x, to.y - other.y)]
      if (before > 0) view.camera.zoomAt({ x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 }, after / before)
    } else if (travelled > CLICK) view.camera.move({ x: to.x - from.x, y: to.y - from.y })
    fingers.set(event.pointerId, to)
  }

  function up(event: PointerEvent): void {
    const chosen = fingers.size === 1 && travelled <= CLICK
    fingers.delete(event.pointerId)
    if (chosen) choose(stage()?.at(place(event)) ?? null)
  }

  const cancel = (event: PointerEvent) => { fingers.delete(event.pointerId) }

  function leave(): void {
    const view = stage()
    if (view) view.pointer = null
  }

  function wheel(event: WheelEvent): void {
    stage()?.camera.zoomAt(place(event), Math.exp(-event.deltaY * (event.deltaMode === 0 ? 0.0016 : 0.05)))
  }

  function closer(factor: number): void {
    const camera = stage()?.camera
    camera?.zoomAt({ x: camera.size.width / 2, y: camera.size.height / 2 }, factor)
  }

  return { down, move, up, cancel, leave, wheel, closer, whole: () => stage()?.camera.reset() }
}
