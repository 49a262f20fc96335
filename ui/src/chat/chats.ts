// All conversations this page has touched. Knows the protocol's order
// of events (ask, accept, join after a break); knows neither Vue nor WebSocket.
import type { ClientFrame, Conversation, ServerFrame } from '../wire'
import type { ChatsOutside } from './outside'
import { gone, lineDown, lineLost, notAgain, notGoneOn, told } from './trouble'
import { emptyChat, isOpenEnded, reduce, type Chat, type ChatEvent } from './state'
import { Whose } from './whose'

/** The key of the conversation that has no id yet. */
export const NEW = 'new'

export class Chats {
  private readonly chats = new Map<string, Chat>()
  private readonly whose = new Whose()
  /** Turns that began elsewhere while the page still followed the one before. */
  private readonly begun = new Map<string, string>()
  private online = false
  private wasOnline = false

  constructor(private readonly outside: ChatsOutside) {}

  get(key: string): Chat {
    return this.chats.get(key) ?? emptyChat
  }

  /** Shows a conversation: what is stored, and then the turn that runs in it, if one does. */
  async open(id: string): Promise<void> {
    this.apply(id, { type: 'loading' })
    if (!(await this.reload(id))) return
    const { turn } = this.get(id)
    if (!turn) this.join(id)
  }

  startNew(): void {
    if (this.get(NEW).turn) return
    this.chats.delete(NEW)
    this.outside.changed()
  }

  /** Instead of an earlier question it begins another branch. */
  ask(key: string, text: string, model: string | null, insteadOf: string | null = null): void {
    const request = this.begin(key, text, insteadOf)
    if (!request) return
    const conversation = key === NEW ? null : key
    const instead = insteadOf ? { instead_of: insteadOf } : {}
    const sent = this.outside.send({ type: 'ask', request, conversation, text, model, ...instead })
    if (!sent) this.apply(key, { type: 'not-sent', error: lineDown() })
  }

  /** The first question of a conversation that is begun for it, with parameters of its own. */
  async askIn(begin: () => Promise<Conversation>, text: string, model: string | null): Promise<void> {
    const request = this.begin(NEW, text, null)
    if (!request) return
    try {
      const made = await begin()
      // The line broke meanwhile, and the question went back into the box.
      if (this.get(NEW).turn?.request !== request) return
      this.chats.set(made.id, { ...this.get(NEW), loading: 'ready', title: made.title, character: made.character })
      this.chats.delete(NEW)
      this.whose.requests.set(request, made.id)
      this.outside.touched(made, true)
      const sent = this.outside.send({ type: 'ask', request, conversation: made.id, text, model })
      if (!sent) this.apply(made.id, { type: 'not-sent', error: lineDown() })
    } catch (cause) {
      this.apply(NEW, { type: 'not-sent', error: told(cause) })
    }
  }

  /** Another answer in place of this one. */
  again(key: string, answer: string, model: string | null): void {
    const request = this.begin(key, null, answer)
    if (!request) return
    const sent = this.outside.send({ type: 'again', request, conversation: key, answer, model })
    if (!sent) this.apply(key, { type: 'not-sent', error: notAgain() })
  }

  /** Another version of a message, with what follows it. */
  async show(key: string, message: string): Promise<void> {
    if (this.get(key).turn) return
    try {
      const { messages } = await this.outside.show(message)
      this.apply(key, { type: 'shown', messages })
    } catch (cause) {
      this.apply(key, { type: 'load-failed', missing: false, error: told(cause) })
    }
  }

  private begin(key: string, text: string | null, replaces: string | null): string | null {
    if (this.get(key).turn) return null
    const request = this.outside.newRequest()
    this.whose.requests.set(request, key)
    this.apply(key, { type: 'asked', request, text, replaces })
    return request
  }

  /** More of an answer that was cut short, in its place. */
  goOn(key: string, id: string): void {
    const message = this.get(key).messages.find((m) => m.id === id)
    if (!message || this.get(key).turn) return
    const request = this.outside.newRequest()
    this.whose.requests.set(request, key)
    this.apply(key, { type: 'going-on', request, message })
    const sent = this.outside.send({ type: 'go_on', request, conversation: key, turn: id })
    if (!sent) this.apply(key, { type: 'not-sent', error: notGoneOn() })
  }

  stop(key: string): void {
    const { turn } = this.get(key)
    if (!turn || turn.stopping) return
    this.apply(key, { type: 'stopping' })
    if (turn.id) this.outside.send({ type: 'stop', turn: turn.id })
  }

  takeBack(key: string): void {
    if (this.get(key).unsent !== null) this.apply(key, { type: 'taken-back' })
  }

  renamed(id: string, title: string): void {
    if (this.chats.has(id)) this.apply(id, { type: 'renamed', title })
  }

  forget(id: string): void {
    this.chats.delete(id)
    this.outside.changed()
  }

  /** After a break each running turn is joined where it was left; an unconfirmed question is looked up. */
  lineIs(online: boolean): void {
    if (online === this.online) return
    this.online = online
    this.whose.joins = []
    if (!online) return
    if (this.wasOnline) this.outside.missed()
    for (const [key, chat] of this.chats) {
      if (chat.turn?.id) this.join(key)
      else if (chat.turn) void this.lookUp(key, chat.turn.question)
      else if (chat.loading === 'failed') void this.open(key)
      else if (chat.checking || (chat.loading === 'ready' && isOpenEnded(chat))) this.join(key)
      else if (this.wasOnline) void this.reread(key)
    }
    this.wasOnline = true
  }

  frame(frame: ServerFrame): void {
    switch (frame.type) {
      case 'titled': case 'changed': return this.touched(frame.conversation)
      case 'deleted': return this.deleted(frame.conversation)
      case 'reread': return void this.reread(frame.conversation)
      case 'began': return this.began(frame.conversation, frame.turn)
      case 'ended': return this.ended(frame.conversation, frame.turn)
      case 'missed': return this.missed()
      case 'idle': return this.idle(frame.conversation)
    }
    const key = this.whose.keyOf(frame)
    if (key === null) return
    if (frame.type === 'accepted') return this.accepted(key, frame)
    this.apply(key, frame)
    if (frame.type === 'done') this.whose.turns.delete(frame.turn)
    if (frame.type === 'failed') this.failed(key, frame)
    const next = this.begun.get(key)
    if (next && !this.get(key).turn) this.began(key, next)
  }

  private touched(conversation: Conversation): void {
    this.renamed(conversation.id, conversation.title)
    this.outside.touched(conversation, false)
  }

  private deleted(id: string): void {
    this.outside.removed(id)
    if (this.chats.has(id)) this.apply(id, { type: 'load-failed', missing: true, error: gone() })
  }

  /** Asked in another window, perhaps: who shows the conversation follows the answer. */
  private began(id: string, turn: string): void {
    const chat = this.get(id)
    this.begun.delete(id)
    if (chat.turn) {
      if (chat.turn.id !== null && chat.turn.id !== turn) this.begun.set(id, turn)
      return
    }
    const whole = chat.messages.some((m) => m.id === turn && m.status === 'complete')
    if (chat.loading === 'ready' && !whole) this.join(id)
  }

  /** Who has followed it has its end already. */
  private ended(id: string, turn: string): void {
    if (!this.get(id).messages.some((m) => m.id === turn)) void this.reread(id)
  }

  private missed(): void {
    this.outside.missed()
    for (const [id, chat] of this.chats) {
      if (chat.loading === 'ready' && !chat.turn) void this.reread(id).then(() => this.join(id))
    }
  }

  private accepted(key: string, frame: Extract<ServerFrame, { type: 'accepted' }>): void {
    const id = frame.conversation.id
    const fromNew = key === NEW
    if (fromNew) {
      this.chats.set(id, this.get(NEW))
      this.chats.delete(NEW)
    }
    this.whose.turns.set(frame.turn, id)
    if (frame.request) this.whose.requests.delete(frame.request)
    this.apply(id, frame)
    // Stop was pressed before the turn had a name.
    if (this.get(id).turn?.stopping) this.outside.send({ type: 'stop', turn: frame.turn })
    this.outside.touched(frame.conversation, fromNew)
  }

  private failed(key: string, frame: Extract<ServerFrame, { type: 'failed' }>): void {
    if (frame.turn) this.whose.turns.delete(frame.turn)
    if (frame.request) this.whose.requests.delete(frame.request)
    // Another window asked first: show its answer.
    if (frame.error.code === 'turn_running' && key !== NEW) this.join(key)
  }

  /** Nothing runs there: what we thought was running has ended meanwhile, so its end is in the store. */
  private idle(id: string): void {
    this.whose.joins = this.whose.joins.filter((join) => join !== id)
    const chat = this.get(id)
    if (chat.turn?.id) {
      this.apply(id, { type: 'turn-over' })
      void this.reload(id)
    } else {
      this.apply(id, { type: 'idle', conversation: id })
      if (!chat.turn && isOpenEnded(chat)) void this.reload(id)
    }
  }

  /** What the store shows now takes the place of what this page shows. */
  private async reread(id: string): Promise<void> {
    if (this.get(id).loading !== 'ready' || this.get(id).turn) return
    try {
      const { conversation, messages } = await this.outside.load(id)
      if (this.get(id).turn) return
      this.apply(id, { type: 'shown', messages })
      this.renamed(id, conversation.title)
    } catch (cause) {
      // What is on the page stays, unless there is no such conversation any more.
      if ((cause as { status?: number }).status === 404) this.deleted(id)
    }
  }

  private join(id: string): void {
    // Two joins from the beginning would bring every word twice.
    if (this.whose.joins.includes(id)) return
    this.apply(id, { type: 'joining' })
    const { turn } = this.get(id)
    const frame: ClientFrame = { type: 'join', conversation: id, turn: turn?.id ?? null, last_seq: turn?.seq ?? 0 }
    if (this.outside.send(frame)) this.whose.joins.push(id)
  }

  private async reload(id: string): Promise<boolean> {
    try {
      const { conversation, messages } = await this.outside.load(id)
      this.apply(id, { type: 'loaded', title: conversation.title, character: conversation.character, messages })
      return true
    } catch (cause) {
      this.apply(id, { type: 'load-failed', missing: (cause as { status?: number }).status === 404, error: told(cause) })
      return false
    }
  }

  /** Did the question arrive before the line broke? Only the store can tell. */
  private async lookUp(key: string, question: string | null): Promise<void> {
    if (question === null) {
      // Another answer was wanted: it runs, or it does not.
      await this.reload(key)
      this.apply(key, { type: 'turn-over' })
      return this.join(key)
    }
    const before = new Set(this.get(key).messages.map((m) => m.id))
    if (key !== NEW && (await this.reload(key))) {
      const arrived = this.get(key).messages.some((m) => m.role === 'user' && m.text === question && !before.has(m.id))
      if (arrived) {
        this.apply(key, { type: 'turn-over' })
        return this.join(key)
      }
    }
    this.apply(key, { type: 'not-sent', error: lineLost() })
  }

  private apply(key: string, event: ChatEvent): void {
    const before = this.get(key)
    const after = reduce(before, event)
    if (after === before && this.chats.has(key)) return
    this.chats.set(key, after)
    this.outside.changed()
  }
}
