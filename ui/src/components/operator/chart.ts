// The geometry of a line chart: numbers in, coordinates and paths out. Knows nothing of a page.

/** Null is a time at which there was nothing to measure: the line has a gap there. */
export interface Series { name: string; values: readonly (number | null)[] }

export interface Box { left: number; top: number; width: number; height: number }

/** Round values from 0 up to or above the most, four steps or so. */
export function ticks(most: number, whole = false): number[] {
  const top = most > 0 && Number.isFinite(most) ? most : 1
  const rough = top / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 2.5, 5, 10].find((f) => f * power >= rough) ?? 10
  const step = whole ? Math.max(1, Math.ceil(factor * power)) : factor * power
  const count = Math.ceil(top / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(12)))
}

export function most(series: readonly Series[]): number {
  return series.reduce((top, one) => one.values.reduce<number>((high, value) => Math.max(high, value ?? 0), top), 0)
}

/** Where the value stands between the bottom and the top of the box. */
export function heightOf(value: number, top: number, box: Box): number {
  return box.top + box.height * (1 - Math.min(value / top, 1))
}

/** The newest sample is at the right edge, and `kept` of them fill the box: a gateway that has just begun has a short line. */
export function xOf(at: number, count: number, kept: number, box: Box): number {
  const steps = Math.max(kept - 1, 1)
  return box.left + box.width * (1 - (count - 1 - at) / steps)
}

/** The line through the values, broken where there is none; a value that stands alone is a dot. */
export function line(values: readonly (number | null)[], top: number, kept: number, box: Box): string {
  let path = ''
  let pen = false
  values.forEach((value, at) => {
    if (value === null) {
      pen = false
      return
    }
    const point = `${xOf(at, values.length, kept, box).toFixed(1)} ${heightOf(value, top, box).toFixed(1)}`
    const alone = !pen && (values[at + 1] ?? null) === null
    path += alone ? `M${point}h.01` : `${pen ? 'L' : 'M'}${point}`
    pen = true
  })
  return path
}

/** The sample nearest to that place; null where there is none. */
export function nearest(x: number, count: number, kept: number, box: Box): number | null {
  if (count === 0 || box.width <= 0) return null
  const fromRight = Math.round(((box.left + box.width - x) / box.width) * Math.max(kept - 1, 1))
  const at = count - 1 - fromRight
  return at < 0 ? null : Math.min(at, count - 1)
}
