// Letters of formulas in other alphabets, as characters of their own: browsers no longer read `mathvariant`.
interface Alphabet { upper: number; lower?: number; digit?: number; others?: Record<string, string> }

/** Where each alphabet begins in Unicode, and the letters that had a place before it. */
const alphabets: Record<string, Alphabet> = {
  bold: { upper: 0x1d400, lower: 0x1d41a, digit: 0x1d7ce },
  'bold-italic': { upper: 0x1d468, lower: 0x1d482 },
  'double-struck': { upper: 0x1d538, lower: 0x1d552, digit: 0x1d7d8, others: { C: 'ℂ', H: 'ℍ', N: 'ℕ', P: 'ℙ', Q: 'ℚ', R: 'ℝ', Z: 'ℤ' } },
  script: { upper: 0x1d49c, lower: 0x1d4b6, others: { B: 'ℬ', E: 'ℰ', F: 'ℱ', H: 'ℋ', I: 'ℐ', L: 'ℒ', M: 'ℳ', R: 'ℛ', e: 'ℯ', g: 'ℊ', o: 'ℴ' } },
  fraktur: { upper: 0x1d504, lower: 0x1d51e, others: { C: 'ℭ', H: 'ℌ', I: 'ℑ', R: 'ℜ', Z: 'ℨ' } },
  'sans-serif': { upper: 0x1d5a0, lower: 0x1d5ba, digit: 0x1d7e2 },
  'bold-sans-serif': { upper: 0x1d5d4, lower: 0x1d5ee, digit: 0x1d7ec },
  monospace: { upper: 0x1d670, lower: 0x1d68a, digit: 0x1d7f6 },
}

export function styled(text: string, variant: string): string {
  const alphabet = alphabets[variant]
  return alphabet ? [...text].map((letter) => one(letter, alphabet)).join('') : text
}

function one(letter: string, { upper, lower, digit, others }: Alphabet): string {
  const special = others?.[letter]
  if (special) return special
  const moved = (first: string, to: number | undefined) =>
    (to === undefined ? letter : String.fromCodePoint(to + letter.charCodeAt(0) - first.charCodeAt(0)))
  if (/^[A-Z]$/.test(letter)) return moved('A', upper)
  if (/^[a-z]$/.test(letter)) return moved('a', lower)
  return /^[0-9]$/.test(letter) ? moved('0', digit) : letter
}
