// Where the birds of the picture fly: a band that winds, swells and thins, the same on every visit.
export interface Bird { x: number; y: number; size: number; turn: number; layer: number }

export const FIELD = { width: 1200, height: 520 }
const BIRDS = 420

/** Small and seeded (mulberry32), so that the picture never jumps between two drawings. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export function flock(seed = 11): Bird[] {
  const random = seeded(seed)
  // Three draws make a bell near enough: dense in the band, a few stragglers beside it.
  const bell = () => random() + random() + random() - 1.5
  return Array.from({ length: BIRDS }, () => {
    const along = Math.min(0.995, Math.max(0.005, 0.5 + bell() * 0.36))
    const width = 26 + 150 * Math.sin(Math.PI * along) ** 2 * (0.45 + 0.55 * Math.cos(along * 7.5 - 1.2) ** 2)
    const off = bell()
    const spine = 0.5 + 0.27 * Math.sin(along * Math.PI * 2.1 - 0.7)
    const slope = Math.cos(along * Math.PI * 2.1 - 0.7)
    return {
      x: Math.round(along * FIELD.width),
      y: Math.round(spine * FIELD.height + off * width),
      size: Number((0.55 + random() * 0.75 + (1 - Math.abs(off)) * 0.35).toFixed(2)),
      turn: Math.round(slope * 34 + (random() - 0.5) * 40),
      layer: Math.floor(random() * 3),
    }
  })
}
