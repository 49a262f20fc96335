// Which conversation a frame belongs to: by what it says, by its turn, by the request it answers, or by the oldest join.
import type { ServerFrame } from '../wire'

export class Whose {
  readonly turns = new Map<string, string>()
  readonly requests = new Map<string, string>()
  /** Joins without an answer yet, oldest first: the first frame of an unknown turn belongs to the oldest. */
  joins: string[] = []

  keyOf(frame: ServerFrame): string | null {
    const stated = statedConversation(frame)
    if (frame.type === 'accepted' || frame.type === 'failed') {
      const asked = frame.request ? this.requests.get(frame.request) : undefined
      if (asked) return asked
    }
    const turn = 'turn' in frame ? frame.turn : null
    const key = stated ?? (turn ? this.turns.get(turn) : undefined) ?? (turn ? this.joins[0] : undefined)
    if (key === undefined) return null
    if (turn) this.turns.set(turn, key)
    this.joins = this.joins.filter((join) => join !== key)
    return key
  }
}

function statedConversation(frame: ServerFrame): string | undefined {
  if (frame.type === 'accepted') return frame.conversation.id
  if (frame.type === 'started' || frame.type === 'done' || frame.type === 'failed') return frame.conversation ?? undefined
  return undefined
}
