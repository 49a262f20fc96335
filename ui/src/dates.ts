// The headings of the list, by the day a conversation was last used. Pure: the present is handed in.
import type { Conversation } from './wire'

const DAY_MS = 86_400_000

function midnight(of: Date): number {
  return new Date(of.getFullYear(), of.getMonth(), of.getDate()).getTime()
}

export type DayGroup = 'today' | 'yesterday' | 'week' | 'month' | 'earlier'

/** Days count from midnight to midnight where the reader is. */
export function dayGroup(time: string, now: Date): DayGroup {
  const days = Math.round((midnight(now) - midnight(new Date(time))) / DAY_MS)
  if (days <= 0) return 'today'
  if (days === 1) return 'yesterday'
  if (days < 7) return 'week'
  if (days < 31) return 'month'
  return 'earlier'
}

export interface Group { name: DayGroup | 'pinned'; items: Conversation[] }

export function grouped(list: readonly Conversation[], now: Date): Group[] {
  const groups: Group[] = []
  for (const item of list) {
    const name = item.pinned ? 'pinned' : dayGroup(item.updated_at, now)
    const last = groups.at(-1)
    if (last?.name === name) last.items.push(item)
    else groups.push({ name, items: [item] })
  }
  return groups
}
