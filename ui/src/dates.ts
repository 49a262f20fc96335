// Times as people say them, and the headings of the list. Pure: the present is handed in.
import type { Conversation } from './wire'

const DAY_MS = 86_400_000

function midnight(of: Date): number {
  return new Date(of.getFullYear(), of.getMonth(), of.getDate()).getTime()
}

/** Days count from midnight to midnight where the reader is. */
export function dayGroup(time: string, now: Date): string {
  const days = Math.round((midnight(now) - midnight(new Date(time))) / DAY_MS)
  if (days <= 0) return 'Today'
  if (days === 1) return 'Yesterday'
  if (days < 7) return 'This week'
  if (days < 31) return 'This month'
  return 'Earlier'
}

export interface Group { name: string; items: Conversation[] }

export function grouped(list: readonly Conversation[], now: Date): Group[] {
  const groups: Group[] = []
  for (const item of list) {
    const name = item.pinned ? 'Pinned' : dayGroup(item.updated_at, now)
    const last = groups.at(-1)
    if (last?.name === name) last.items.push(item)
    else groups.push({ name, items: [item] })
  }
  return groups
}

export function shortDate(time: string): string {
  return new Date(time).toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: 'numeric' })
}
