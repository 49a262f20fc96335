// Which addresses a model's text may lead to.
const ALLOWED = new Set(['http:', 'https:', 'mailto:'])
const LONGEST = 2048

/** The address, made plain, or null when it is not one a person should be able to click. */
export function safeHref(address: string): string | null {
  if (address.length > LONGEST) return null
  try {
    // No base: a relative address would point into this site, which no model can know.
    const url = new URL(address)
    return ALLOWED.has(url.protocol) ? url.href : null
  } catch {
    return null
  }
}
