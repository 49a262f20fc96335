// The page's colours for a canvas, which cannot read CSS variables: they are asked of an element that can.

const names = ['surface', 'raised', 'line', 'line-strong', 'ink', 'ink-soft', 'ink-faint', 'accent', 'violet', 'danger', 'warn', 'good', 'plumage-a', 'plumage-b', 'speckle'] as const

export type Colours = Record<(typeof names)[number], string> & { font: string }

/** As they are now; `beside` is any element of the page. */
export function coloursOf(beside: HTMLElement): Colours {
  const probe = document.createElement('span')
  probe.hidden = true
  beside.append(probe)
  const style = getComputedStyle(probe)
  const colours = { font: style.fontFamily || 'sans-serif' } as Colours
  for (const name of names) {
    probe.style.color = `var(--${name})`
    colours[name] = style.color
  }
  probe.remove()
  return colours
}

/** Calls when another theme is chosen, here or by the system. */
export function onTheme(act: () => void): () => void {
  const query = matchMedia('(prefers-color-scheme: dark)')
  const watcher = new MutationObserver(act)
  watcher.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
  query.addEventListener('change', act)
  return () => {
    watcher.disconnect()
    query.removeEventListener('change', act)
  }
}
