// The live line to the gateway, made once when somebody is signed in: joins socket, chats and swarm together.
import { shallowRef, type ShallowRef } from 'vue'
import { Chats } from '../chat/chats'
import { access, api } from '../net/api'
import { ChatSocket, type Link } from '../net/socket'
import type { ClientFrame, Conversation, ServerFrame } from '../wire'
import { useCharacters } from './useCharacters'
import { frameBatch } from './frameBatch'
import { useConversations } from './useConversations'
import { noteExpiry } from './useSession'
import { useParameters } from './useParameters'
import { useSwarm } from './useSwarm'

/** From this version of the protocol on, this page would misread frames. */
const VERSION = 3

const link = shallowRef<Link>({ state: 'closed' })
const outdated = shallowRef(false)
/** Goes up when a chat has changed, at most once a frame. */
const version = shallowRef(0)
const created = shallowRef<string | null>(null)
/** Whoever shows the swarm as it lives. */
const listeners = new Set<(frame: ServerFrame) => void>()

const bump = frameBatch(() => { version.value += 1 })

const socket = new ChatSocket(
  () => new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/chat`),
  { frame: onFrame, link: onLink, refused: onRefused },
  () => access.token,
)
access.onRenewed = (token) => { socket.send({ type: 'authenticate', token }) }

let chats = makeChats()

function makeChats(): Chats {
  return new Chats({
    send: (frame) => socket.send(frame),
    load: (id) => api.conversation(id).catch(told),
    show: (message) => api.show(message).catch(told),
    changed: bump,
    touched,
    removed: (id) => useConversations().gone(id),
    missed: () => void useConversations().load(),
    newRequest: () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`,
  })
}

function told(error: unknown): never {
  noteExpiry(error)
  throw error
}

function touched(conversation: Conversation, fromNew: boolean): void {
  useConversations().touch(conversation)
  if (fromNew) created.value = conversation.id
}

function onFrame(frame: ServerFrame): void {
  if (frame.type === 'hello') {
    outdated.value = frame.version !== VERSION
    useSwarm().saw(frame.swarm)
    for (const listener of listeners) listener(frame)
  } else if (frame.type === 'swarm') {
    useSwarm().saw({ nodes: frame.nodes, models: frame.models })
  } else if (frame.type === 'picture' || frame.type === 'changes' || frame.type === 'node') {
    for (const listener of listeners) listener(frame)
  } else {
    chats.frame(frame)
  }
}

function onLink(next: Link): void {
  link.value = next
  chats.lineIs(next.state === 'open')
}

/** The token has run out, as after a sleep, or the session has: only asking for the next one tells. */
function onRefused(attempt: number): void {
  void access.refresh().then(() => { if (attempt <= 1) socket.retryNow() }).catch(noteExpiry)
}

function start(): void {
  addEventListener('online', retry)
  addEventListener('offline', lost)
  socket.start()
}

/** Nothing of one person's chats stays behind for the next. */
function stop(): void {
  removeEventListener('online', retry)
  removeEventListener('offline', lost)
  socket.stop()
  chats = makeChats()
  created.value = null
  useParameters().clear()
  useSwarm().clear()
  useConversations().clear()
  useCharacters().clear()
  bump()
}

/** Until the answer is called, `listener` hears of the swarm, and of each new line (`hello`). */
function listen(listener: (frame: ServerFrame) => void): () => void {
  listeners.add(listener)
  return () => { listeners.delete(listener) }
}

const send = (frame: ClientFrame) => socket.send(frame)
const retry = () => socket.retryNow()
const lost = () => socket.networkLost()

export function useLive(): {
  link: ShallowRef<Link>
  outdated: ShallowRef<boolean>
  version: ShallowRef<number>
  created: ShallowRef<string | null>
  chats(): Chats
  start(): void
  stop(): void
  retry(): void
  listen: typeof listen
  send: typeof send
} {
  return { link, outdated, version, created, chats: () => chats, start, stop, retry, listen, send }
}
