// The chats of a page without the page.
import { vi } from 'vitest'
import { Chats } from '../src/chat/chats'
import type { ClientFrame, Message } from '../src/wire'
import { conversation } from './frames'

/** Chats with everything around them: what they send, the store they read, the line. */
export function world(stored: Message[] = []) {
  const sent: ClientFrame[] = []
  const touched = vi.fn()
  const removed = vi.fn()
  const missed = vi.fn()
  const line = { up: true }
  const store = { messages: stored, fails: null as null | { status: number; body?: unknown } }
  let requests = 0
  const chats = new Chats({
    send: (frame) => {
      if (line.up) sent.push(frame)
      return line.up
    },
    load: () => (store.fails ? Promise.reject(store.fails) : Promise.resolve({ conversation, messages: store.messages })),
    show: () => (store.fails ? Promise.reject(store.fails) : Promise.resolve({ messages: store.messages })),
    changed: () => {},
    touched,
    removed,
    missed,
    newRequest: () => `r${(requests += 1)}`,
  })
  chats.lineIs(true)
  return { chats, sent, touched, removed, missed, line, store }
}

/** What was asked of the store has been answered. */
export const settled = () => new Promise((resolve) => setTimeout(resolve))
