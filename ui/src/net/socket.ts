// One WebSocket to the gateway that comes back by itself. Knows frames and time, nothing of chats or of Vue.
import type { ClientFrame, ServerFrame } from '../wire'
import { readFrame } from './frames'

/** How the line to the gateway is now. `attempt` counts the tries since it last worked. */
export type Link =
  | { state: 'closed' }
  | { state: 'connecting'; attempt: number }
  | { state: 'open' }
  | { state: 'waiting'; attempt: number; retryAt: number }

export interface SocketEvents {
  frame(frame: ServerFrame): void
  link(link: Link): void
  /** The gateway does not take the token; so many tries in a row have failed. */
  refused?(attempt: number): void
}

/** What the gateway closes a socket with whose token does not count. */
const UNAUTHENTICATED = 4401

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 15_000
/** A line that opens but says no hello is dead: a proxy, or a gateway that is starting. */
const HELLO_LIMIT_MS = 10_000

/** Doubles with each try up to a ceiling; half of it is chance, so that many pages do not come back at once. */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 10))
  return Math.round(ceiling / 2 + (ceiling / 2) * random())
}

export class ChatSocket {
  private socket: WebSocket | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private attempt = 0
  private link: Link = { state: 'closed' }

  constructor(
    private readonly connect: () => WebSocket,
    private readonly events: SocketEvents,
    private readonly token: () => string | null = () => null,
    private readonly random: () => number = Math.random,
  ) {}

  start(): void {
    if (this.link.state === 'closed') this.dial()
  }

  stop(): void {
    this.drop()
    this.attempt = 0
    this.become({ state: 'closed' })
  }

  /** Tries at once instead of waiting, when there is a wait to cut short. */
  retryNow(): void {
    if (this.link.state === 'waiting') this.dial()
  }

  /** The system says that the network is gone: no use in waiting for a timeout to find out. */
  networkLost(): void {
    if (this.link.state === 'open' || this.link.state === 'connecting') this.retryLater()
  }

  /** False: the line is down and nothing was sent. */
  send(frame: ClientFrame): boolean {
    if (this.link.state !== 'open' || !this.socket) return false
    this.socket.send(JSON.stringify(frame))
    return true
  }

  private dial(): void {
    this.drop()
    this.become({ state: 'connecting', attempt: this.attempt })
    const socket = this.connect()
    this.socket = socket
    // A socket that was given up may still speak: only the current one counts.
    const current = (act: () => void) => () => {
      if (this.socket === socket) act()
    }
    socket.onmessage = (event) => {
      if (this.socket === socket) this.receive(event.data)
    }
    // The gateway says nothing before it knows who this is.
    socket.onopen = current(() => socket.send(JSON.stringify({ type: 'authenticate', token: this.token() ?? '' })))
    socket.onclose = (event?: CloseEvent) => {
      if (this.socket !== socket) return
      this.retryLater()
      if (event?.code === UNAUTHENTICATED) this.events.refused?.(this.attempt)
    }
    this.timer = setTimeout(current(() => this.retryLater()), HELLO_LIMIT_MS)
  }

  private receive(data: unknown): void {
    const frame = readFrame(data)
    if (!frame) return
    if (frame.type === 'hello') {
      clearTimeout(this.timer)
      this.attempt = 0
      this.become({ state: 'open' })
    }
    this.events.frame(frame)
  }

  private retryLater(): void {
    this.drop()
    const wait = backoffMs(this.attempt, this.random)
    this.attempt += 1
    this.timer = setTimeout(() => this.dial(), wait)
    this.become({ state: 'waiting', attempt: this.attempt, retryAt: Date.now() + wait })
  }

  private drop(): void {
    clearTimeout(this.timer)
    const socket = this.socket
    this.socket = null
    socket?.close()
  }

  private become(link: Link): void {
    this.link = link
    this.events.link(link)
  }
}
