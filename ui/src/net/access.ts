// The access token, which lives in this page's memory and nowhere else, and how the next one is had before it runs out.
// The refresh token is in a cookie that no script can read; the gateway takes it for both.
import type { SessionAnswer, User } from '../wire'
import { ApiError } from './http'

/** How much of a token's life is used before the next one is asked for. */
const SHARE = 0.8
/** Until another try, when the gateway could not be reached. */
const AGAIN_MS = 15_000

type Exclusive = (act: () => Promise<SessionAnswer>) => Promise<SessionAnswer>

/** Tabs share one cookie, so one refreshes after the other. Without locks the gateway forgives two at once. */
const oneTab: Exclusive = (act) =>
  typeof navigator !== 'undefined' && navigator.locks ? navigator.locks.request('starling-refresh', act) : act()

export class Access {
  /** Told of each new token. */
  onRenewed: (token: string) => void = () => {}
  /** Told when the session is over. */
  onEnded: () => void = () => {}

  private current: string | null = null
  private pending: Promise<User> | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Goes up when somebody comes or leaves: what was asked before says nothing of who is here now. */
  private era = 0

  constructor(
    private readonly ask: () => Promise<SessionAnswer>,
    private readonly exclusive: Exclusive = oneTab,
  ) {}

  get token(): string | null {
    return this.current
  }

  /** Somebody has signed in. */
  enter(answer: SessionAnswer): User {
    this.era += 1
    return this.take(answer)
  }

  /** Nobody is signed in any more. */
  leave(): void {
    this.era += 1
    this.current = null
    clearTimeout(this.timer)
  }

  /** The next token; who asks while one is on its way gets the same. */
  refresh(): Promise<User> {
    this.pending ??= this.next().finally(() => { this.pending = null })
    return this.pending
  }

  private async next(): Promise<User> {
    const era = this.era
    try {
      const answer = await this.exclusive(this.ask)
      return era === this.era ? this.take(answer) : answer.user
    } catch (error) {
      const over = error instanceof ApiError && error.status === 401
      if (era === this.era && over) {
        this.leave()
        this.onEnded()
      } else if (era === this.era && this.current !== null) {
        this.later(AGAIN_MS)
      }
      throw error
    }
  }

  private take(answer: SessionAnswer): User {
    this.current = answer.access_token
    this.later(answer.expires_in * 1000 * SHARE)
    this.onRenewed(answer.access_token)
    return answer.user
  }

  private later(ms: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => { void this.refresh().catch(() => {}) }, ms)
  }
}
