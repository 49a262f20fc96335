// One conversation as it stands, and what each event makes of it. Pure: no socket, no clock, no Vue.
import type { ErrorBody, Message, Path, ServerFrame } from '../wire'

/** Letters, so that what is typed always arrives whole: below the gateway's own limit of a frame. */
export const LONGEST_QUESTION = 60_000

export interface RunningNode {
  name: string
  peer: string
  path: Path
  model: string
  /** All that have given a part of the answer, in order; this one is the last. */
  nodes: readonly string[]
}

/** A place in the line, from 1, and the gateway's guess at the time. */
export interface Line {
  position: number
  seconds: number
}

/** A model that a node loads for this question; `permille` is of a thousand. */
export interface ModelLoad {
  node: string
  model: string
  permille: number
}

export type Phase = 'sending' | 'accepted' | 'waiting' | 'loading' | 'answering' | 'thinking'

/** A question on its way and the answer so far. */
export interface Turn {
  /** Null until the gateway has accepted it. */
  id: string | null
  /** The request this page made; null when the turn was found by joining. */
  request: string | null
  /** The question, until it is one of the messages. */
  question: string | null
  /** What it stands in place of, until it is accepted: an edited question, or an answer that is given anew. */
  replaces: string | null
  phase: Phase
  text: string
  /** The last piece seen; a join goes on after it. */
  seq: number
  node: RunningNode | null
  /** Where it stands in the line; null when it does not wait. */
  line: Line | null
  /** What is loaded first; null when nothing is. */
  load: ModelLoad | null
  stopping: boolean
}

export type Loading = 'new' | 'loading' | 'ready' | 'missing' | 'failed'

export interface Chat {
  loading: Loading
  title: string
  /** With whom it is held. */
  character: string | null
  messages: readonly Message[]
  turn: Turn | null
  /** The gateway was asked whether a turn runs here and has not said yet. */
  checking: boolean
  /** Why the last try gave nothing, when no message says so. */
  problem: ErrorBody | null
  /** A question that did not arrive and goes back into the box. */
  unsent: string | null
  /** How the node of an answer was reached. The gateway tells it only while the answer runs. */
  paths: Readonly<Record<string, Path>>
}

export type LocalEvent =
  | { type: 'asked'; request: string; text: string | null; replaces: string | null }
  | { type: 'going-on'; request: string; message: Message }
  | { type: 'stopping' }
  | { type: 'joining' }
  | { type: 'loading' }
  | { type: 'loaded'; title: string; character?: string | null; messages: readonly Message[] }
  | { type: 'shown'; messages: readonly Message[] }
  | { type: 'load-failed'; missing: boolean; error: ErrorBody }
  | { type: 'not-sent'; error: ErrorBody }
  | { type: 'turn-over' }
  | { type: 'taken-back' }
  | { type: 'renamed'; title: string }

export type ChatEvent = LocalEvent | ServerFrame

export const emptyChat: Chat = {
  loading: 'new', title: '', character: null, messages: [], turn: null, checking: false, problem: null, unsent: null, paths: {},
}

const freshTurn: Turn = {
  id: null, request: null, question: null, replaces: null, phase: 'accepted', text: '', seq: 0, node: null, line: null, load: null, stopping: false,
}

export function reduce(chat: Chat, event: ChatEvent): Chat {
  switch (event.type) {
    case 'accepted': return accepted(chat, event)
    case 'waiting': return withTurn(chat, event.turn, (turn) => ({ ...turn, phase: 'waiting', line: lineOf(event), load: null }))
    case 'loading_model': return withTurn(chat, event.turn, (turn) => ({ ...turn, phase: 'loading', line: null, load: loadOf(event) }))
    case 'started': return withTurn(chat, event.turn, (turn) => ({ ...turn, phase: 'answering', node: nodeOf(event), line: null, load: null }))
    case 'thinking': return withTurn(chat, event.turn, (turn) => ({ ...turn, phase: 'thinking' }))
    case 'piece': return withTurn(chat, event.turn, (turn) => grown(turn, event))
    case 'done': return done(chat, event)
    case 'failed': return failed(chat, event)
    case 'idle': return { ...chat, checking: false }
    case 'hello': case 'swarm': case 'error': case 'picture': case 'changes': case 'node': return chat
    // Not about what is said in it: `Chats` follows these.
    case 'titled': case 'changed': case 'deleted': case 'reread': case 'began': case 'ended': case 'missed': return chat
    default: return local(chat, event)
  }
}

function local(chat: Chat, event: LocalEvent): Chat {
  switch (event.type) {
    case 'asked': return asked(chat, event)
    case 'going-on': return goingOn(chat, event.request, event.message)
    case 'stopping': return chat.turn ? { ...chat, turn: { ...chat.turn, stopping: true } } : chat
    case 'joining': return { ...chat, checking: true }
    case 'loading': return chat.loading === 'ready' ? chat : { ...chat, loading: 'loading', problem: null }
    case 'loaded': return { ...chat, loading: 'ready', title: event.title, character: event.character ?? null, messages: merged(chat.messages, event.messages) }
    case 'shown': return { ...chat, messages: event.messages, problem: null }
    case 'load-failed': return loadFailed(chat, event.missing, event.error)
    case 'not-sent': return notSent(chat, event.error)
    case 'turn-over': return { ...chat, turn: null }
    case 'taken-back': return { ...chat, unsent: null }
    case 'renamed': return { ...chat, title: event.title }
  }
}

function asked(chat: Chat, { request, text, replaces }: Extract<LocalEvent, { type: 'asked' }>): Chat {
  const turn: Turn = { ...freshTurn, request, question: text, replaces, phase: 'sending' }
  return { ...chat, turn, problem: null, unsent: null }
}

/** Its text stays on the page until the gateway says all of it again. */
function goingOn(chat: Chat, request: string, { id, text }: Message): Chat {
  return { ...chat, turn: { ...freshTurn, id, request, text, phase: 'sending' }, problem: null }
}

function accepted(chat: Chat, frame: Extract<ServerFrame, { type: 'accepted' }>): Chat {
  const known = chat.turn?.id === frame.turn ? chat.turn : null
  const ours = chat.turn?.id === null && chat.turn.request === frame.request ? chat.turn : null
  const turn: Turn = known ?? { ...(ours ?? freshTurn), id: frame.turn, phase: 'accepted', question: null, replaces: null }
  return {
    ...chat, loading: 'ready', title: frame.conversation.title, character: frame.conversation.character, messages: branched(chat.messages, frame.message, frame.turn),
    turn, checking: false, problem: null,
  }
}

function done(chat: Chat, frame: Extract<ServerFrame, { type: 'done' }>): Chat {
  const over = chat.turn === null || chat.turn.id === frame.turn
  return {
    ...chat, messages: put(chat.messages, frame.message), paths: pathsWith(chat, frame.turn, frame.message.id),
    turn: over ? null : chat.turn, checking: false,
  }
}

function failed(chat: Chat, frame: Extract<ServerFrame, { type: 'failed' }>): Chat {
  const turn = chat.turn
  const asked = frame.request !== null && turn?.request === frame.request
  const ours = turn !== null && (asked || (turn.id !== null && turn.id === frame.turn))
  const messages = frame.message ? put(chat.messages, frame.message) : chat.messages
  const paths = frame.message ? pathsWith(chat, frame.turn, frame.message.id) : chat.paths
  if (turn && !ours) return { ...chat, messages, paths }
  return {
    ...chat, messages, paths, turn: null, checking: false,
    problem: frame.message ? null : frame.error,
    // Not accepted means not stored: the text must not be lost with it.
    unsent: turn?.question ?? chat.unsent,
  }
}

function notSent(chat: Chat, error: ErrorBody): Chat {
  return { ...chat, turn: null, problem: error, unsent: chat.turn?.question ?? chat.unsent }
}

function loadFailed(chat: Chat, missing: boolean, error: ErrorBody): Chat {
  if (missing) return { ...emptyChat, loading: 'missing' }
  // What is already on the page stays there; only an empty page turns into an error.
  return chat.loading === 'ready' ? { ...chat, problem: error } : { ...chat, loading: 'failed', problem: error }
}

function withTurn(chat: Chat, id: string, change: (turn: Turn) => Turn): Chat {
  // Our own question is on its way: another device's turn must not push it aside.
  if (chat.turn?.id === null) return chat
  const turn = chat.turn?.id === id ? chat.turn : { ...freshTurn, id }
  return { ...chat, turn: change(turn), checking: false, problem: null }
}

/** Asked, and no end of an answer is known: it may be running, or the gateway was stopped in the middle of it. */
export function isOpenEnded(chat: Chat): boolean {
  const last = chat.messages.at(-1)
  if (last?.role === 'user') return true
  return last?.status === 'partial' && last.error === null && last.answer === null
}

/** From 0 it stands for all there is: a gateway that was killed may have less than this page. A piece that was seen
 * before comes again after a quick reconnect: it is dropped by its number. */
function grown(turn: Turn, { from, seq, text }: Extract<ServerFrame, { type: 'piece' }>): Turn {
  if (from === 0) return { ...turn, phase: 'answering', text, seq }
  if (seq <= turn.seq) return turn
  return { ...turn, phase: 'answering', text: turn.text + text, seq }
}

function put(messages: readonly Message[], message: Message): readonly Message[] {
  const at = messages.findIndex((m) => m.id === message.id)
  return at < 0 ? [...messages, message] : messages.with(at, message)
}

/** A question in its place: what followed there before is another branch now, but for the answer that goes on. */
function branched(messages: readonly Message[], question: Message, turn: string): readonly Message[] {
  const at = messages.findIndex((m) => m.id === question.id)
  const before = at >= 0 ? at : messages.findIndex((m) => m.id === question.parent) + 1
  // Of a branch that this page has not seen it is shown at least.
  const start = at < 0 && before === 0 && question.parent !== null ? messages.length : before
  return [...messages.slice(0, start), question, ...messages.slice(start + 1).filter((m) => m.id === turn)]
}

/** What the store says, and what came behind it by frame while the store was read. */
function merged(shown: readonly Message[], stored: readonly Message[]): readonly Message[] {
  const all = [...stored]
  for (const message of shown) {
    if (message.parent === (all.at(-1)?.id ?? null)) all.push(message)
  }
  return all
}

/** What stands on the page: all but what is about to be replaced. */
export function standing(chat: Chat): readonly Message[] {
  const at = chat.turn?.replaces ? chat.messages.findIndex((m) => m.id === chat.turn?.replaces) : -1
  return at < 0 ? chat.messages : chat.messages.slice(0, at)
}

function pathsWith(chat: Chat, turn: string | null, message: string): Chat['paths'] {
  const path = chat.turn?.id === turn ? chat.turn?.node?.path : undefined
  return path ? { ...chat.paths, [message]: path } : chat.paths
}

function nodeOf(frame: Extract<ServerFrame, { type: 'started' }>): RunningNode {
  return { name: frame.node_name, peer: frame.node_peer, path: frame.path, model: frame.model, nodes: frame.nodes }
}

function loadOf(frame: Extract<ServerFrame, { type: 'loading_model' }>): ModelLoad {
  return { node: frame.node_name, model: frame.model, permille: frame.permille }
}

function lineOf(frame: Extract<ServerFrame, { type: 'waiting' }>): Line {
  return { position: frame.position, seconds: frame.seconds }
}
