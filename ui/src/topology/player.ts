// Which moment is shown: the present, one that stands still, or the past as it goes by. Knows no clock of its own.

/** The present is shown so much later, so that what happens in it has come when it is drawn. */
export const DELAY_MS = 1_500

export type Mode = 'live' | 'paused' | 'playing'

export class Player {
  mode: Mode = 'live'
  speed = 1
  private at = 0
  /** When `at` was true, by the page's clock. */
  private since = 0
  /** The gateway's clock less the page's. */
  private ahead: number | null = null

  /** The gateway has said what time it is. What takes longest on its way says least. */
  heard(gateway: number, now: number): void {
    const ahead = gateway - now
    if (this.ahead === null || ahead > this.ahead) this.ahead = ahead
  }

  /** Another line, perhaps another gateway. */
  forget(): void {
    this.ahead = null
  }

  /** The moment that counts as the present. */
  present(now: number): number {
    return now + (this.ahead ?? 0) - DELAY_MS
  }

  /** The moment that is shown. One that comes to the present stays in it. */
  moment(now: number, oldest: number): number {
    const present = this.present(now)
    if (this.mode === 'live') return present
    const at = this.mode === 'playing' ? this.at + (now - this.since) * this.speed : this.at
    if (this.mode === 'playing' && at >= present) this.mode = 'live'
    return Math.min(Math.max(at, oldest), present)
  }

  goLive(): void {
    this.mode = 'live'
  }

  pause(now: number, oldest: number): void {
    this.seek(this.moment(now, oldest), now)
    this.mode = 'paused'
  }

  play(now: number, oldest: number): void {
    if (this.mode === 'live') return
    this.seek(this.moment(now, oldest), now)
    this.mode = 'playing'
  }

  /** Shows that moment, and goes on from there if it was going on. */
  seek(at: number, now: number): void {
    this.at = at
    this.since = now
    if (this.mode === 'live') this.mode = 'paused'
  }

  setSpeed(speed: number, now: number, oldest: number): void {
    const at = this.moment(now, oldest)
    this.speed = speed
    this.at = at
    this.since = now
  }
}
