// Browser storage that may be forbidden or full: then things are simply not remembered.
export function remember(key: string, value: string | null, store: () => Storage = () => localStorage): void {
  try {
    if (value === null || value === '') store().removeItem(`starling.${key}`)
    else store().setItem(`starling.${key}`, value)
  } catch {
    // Not remembered.
  }
}

export function recall(key: string, store: () => Storage = () => localStorage): string | null {
  try {
    return store().getItem(`starling.${key}`)
  } catch {
    return null
  }
}
