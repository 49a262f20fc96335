// A text as the dark modules of a QR code, as one path on a grid where a module is 1 wide.
import { encode } from 'uqr'

/** What scanners need around it, in modules. */
const QUIET = 4

export interface QrPath { d: string; size: number }

export function qrPath(text: string): QrPath {
  const { data } = encode(text, { ecc: 'M', border: 0 })
  let d = ''
  data.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (!row[x]) continue
      const begin = x
      while (row[x + 1]) x += 1
      const wide = x - begin + 1
      d += `M${begin + QUIET} ${y + QUIET}h${wide}v1h-${wide}z`
    }
  })
  return { d, size: data.length + 2 * QUIET }
}
