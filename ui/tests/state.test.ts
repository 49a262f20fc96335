import { describe, expect, it } from 'vitest'
import { emptyChat, reduce, standing, type Chat, type ChatEvent } from '../src/chat/state'
import { accepted, answered, done, failed, loading, piece, said, started } from './frames'

const after = (...events: ChatEvent[]): Chat => events.reduce(reduce, emptyChat)
const asked: ChatEvent = { type: 'asked', request: 'r1', text: 'hi', replaces: null }

describe('a conversation', () => {
  it('shows a question at once and holds it as a message when it was accepted', () => {
    expect(after(asked).turn).toMatchObject({ phase: 'sending', question: 'hi', id: null })
    const chat = after(asked, accepted())
    expect(chat.turn).toMatchObject({ id: 't1', phase: 'accepted', question: null })
    expect(chat.messages.map((m) => m.text)).toEqual(['hi'])
    expect(chat).toMatchObject({ title: 'Hello', loading: 'ready' })
  })

  it('goes through waiting, a node, pieces and the end', () => {
    expect(after(asked, accepted(), { type: 'waiting', turn: 't1', position: 2, seconds: 9 }).turn).toMatchObject({ phase: 'waiting', line: { position: 2, seconds: 9 } })
    const running = after(asked, accepted(), { type: 'waiting', turn: 't1', position: 2, seconds: 9 }, started(), piece(2, 'ab'), piece(3, 'c'))
    expect(running.turn).toMatchObject({ phase: 'answering', text: 'abc', seq: 3, node: { name: 'attic', path: 'relayed' } })
    const ended = reduce(running, done(answered('m2', 'abc')))
    expect(ended.turn).toBeNull()
    expect(ended.messages.map((m) => m.id)).toEqual(['m1', 'm2'])
    expect(ended.paths).toEqual({ m2: 'relayed' })
  })

  it('says how far a model is loaded, until a node answers', () => {
    const waiting: ChatEvent = { type: 'waiting', turn: 't1', position: 1, seconds: 9 }
    const comes = after(asked, accepted(), waiting, loading(0), loading(421))
    expect(comes.turn).toMatchObject({ phase: 'loading', line: null, load: { node: 'attic', model: 'm', permille: 421 } })
    expect(reduce(comes, waiting).turn).toMatchObject({ phase: 'waiting', load: null, line: { position: 1 } })
    expect(reduce(comes, started()).turn).toMatchObject({ phase: 'answering', load: null, node: { name: 'attic' } })
    expect(after(loading(10)).turn).toMatchObject({ id: 't1', phase: 'loading' })
  })

  it('thinks before it answers', () => {
    const thinking = after(asked, accepted(), started(), { type: 'thinking', turn: 't1' })
    expect(thinking.turn).toMatchObject({ phase: 'thinking', text: '', node: { name: 'attic' } })
    expect(reduce(thinking, piece(2, 'ab')).turn).toMatchObject({ phase: 'answering', text: 'ab' })
  })

  it('drops a piece that it has seen', () => {
    expect(after(accepted(), piece(2, 'ab'), piece(4, 'cd'), piece(4, 'cd'), piece(3, 'c'), piece(5, 'e')).turn?.text).toBe('abcde')
  })

  it('takes what stands for all of it, also when that is less: the gateway was killed', () => {
    const chat = after(accepted(), piece(4, 'abcd'), accepted(null), started(), piece(3, 'abc'), piece(5, 'de'))
    expect(chat.turn).toMatchObject({ text: 'abcde', seq: 5 })
  })

  it('takes all text so far in the first piece after a join', () => {
    const chat = after({ type: 'loaded', title: 'Hello', messages: [said('m1', 'hi')] }, started(), piece(40, 'all so far'), piece(45, ' and on'))
    expect(chat.turn?.text).toBe('all so far and on')
  })

  it('keeps the text when the same turn is started again, by another node or after a join', () => {
    const chat = after(asked, accepted(), started(), piece(2, 'ab'), accepted(null), started(), piece(3, 'c'))
    expect(chat.turn?.text).toBe('abc')
    expect(chat.messages).toHaveLength(1)
  })

  it('gives the question back when it was refused before it was accepted', () => {
    const chat = after(asked, failed({ turn: null, request: 'r1' }))
    expect(chat).toMatchObject({ turn: null, unsent: 'hi', problem: { code: 'no_node' } })
    expect(reduce(chat, { type: 'taken-back' }).unsent).toBeNull()
  })

  it('keeps the part of an answer that broke, with its reason', () => {
    const part = answered('m2', 'half of', { status: 'partial', error: { code: 'node_lost', message: 'Gone.' } })
    const chat = after(asked, accepted(), started(), piece(7, 'half of'), failed({ message: part }))
    expect(chat.turn).toBeNull()
    expect(chat.problem).toBeNull()
    expect(chat.messages.at(-1)).toEqual(part)
    expect(chat.paths).toEqual({ m2: 'relayed' })
  })

  it('says why when nothing was kept', () => {
    const chat = after(asked, accepted(), failed({}))
    expect(chat.problem?.code).toBe('no_node')
    expect(chat.unsent).toBeNull()
    expect(reduce(chat, { type: 'asked', request: 'r2', text: 'again', replaces: null }).problem).toBeNull()
  })

  it('does not end a turn by the end of another', () => {
    const chat = after(asked, accepted(), piece(1, 'a'), done(answered('m0', 'old'), 't0'), failed({ turn: 't0' }))
    expect(chat.turn).toMatchObject({ id: 't1', text: 'a' })
  })

  it('does not let a turn of another device push a question aside that is on its way', () => {
    const chat = after(asked, piece(9, 'theirs', 't9'), failed({ turn: null, request: 'r1', error: { code: 'turn_running', message: '' } }))
    expect(chat).toMatchObject({ turn: null, unsent: 'hi' })
  })

  it('puts a message in the place of the one with its id', () => {
    const chat = after({ type: 'loaded', title: '', messages: [said('m1', 'hi'), answered('m2', 'a')] }, done(answered('m2', 'ab')))
    expect(chat.messages.map((m) => m.text)).toEqual(['hi', 'ab'])
  })

  it('does not lose what came while the store was read', () => {
    const chat = after(accepted(), { type: 'loaded', title: 'Hello', messages: [] })
    expect(chat.messages.map((m) => m.id)).toEqual(['m1'])
  })

  it('tells a conversation that is not there from one that cannot be read', () => {
    const error = { code: 'unreachable', message: 'No.' }
    expect(after({ type: 'loading' }, { type: 'load-failed', missing: true, error }).loading).toBe('missing')
    expect(after({ type: 'loading' }, { type: 'load-failed', missing: false, error }).loading).toBe('failed')
    const shown = after(accepted(), { type: 'load-failed', missing: false, error })
    expect(shown).toMatchObject({ loading: 'ready', problem: error })
  })

  it('changes nothing for frames of the line itself', () => {
    for (const frame of [{ type: 'hello', version: 1, swarm: { nodes: 0, models: [] } }, { type: 'swarm', nodes: 1, models: [] },
      { type: 'error', error: { code: 'bad', message: '' } }] as ChatEvent[]) {
      expect(reduce(emptyChat, frame)).toBe(emptyChat)
    }
  })

  const four = [said('m1', 'a'), answered('m2', 'b', { parent: 'm1' }), { ...said('m3', 'c'), parent: 'm2' }, answered('m4', 'd', { parent: 'm3' })]
  const loaded: ChatEvent = { type: 'loaded', title: '', messages: four }
  const ids = (chat: Chat) => standing(chat).map((m) => m.id).join(' ')

  it('hides what is being replaced, and shows it again when that is refused', () => {
    const edited = after(loaded, { type: 'asked', request: 'r1', text: 'new', replaces: 'm3' })
    expect(ids(edited)).toBe('m1 m2')
    expect(ids(reduce(edited, failed({ turn: null, request: 'r1' })))).toBe('m1 m2 m3 m4')
  })

  it('leaves the branch that an edited question or another answer has left', () => {
    const edited = accepted('r1', 't1', { ...said('m5', 'new'), parent: 'm2', versions: ['m3', 'm5'] })
    expect(ids(after(loaded, edited, done({ ...answered('m6', 'e'), parent: 'm5' })))).toBe('m1 m2 m5 m6')
    expect(ids(after(loaded, accepted('r1', 't1', four[0])))).toBe('m1')
    expect(ids(after(loaded, accepted('r1', 't1', { ...said('m5', 'new'), versions: ['m1', 'm5'] })))).toBe('m5')
    expect(ids(after(loaded, accepted('r1', 'm4', four[2])))).toBe('m1 m2 m3 m4')
    expect(ids(after(loaded, accepted(null, 't1', { ...said('m9', 'x'), parent: 'm8' })))).toBe('m1 m2 m3 m4 m9')
  })

  it('does not mix branches when the store is read', () => {
    const other = [...four.slice(0, 2), { ...said('m5', 'new'), parent: 'm2' }]
    expect(ids(after(loaded, { type: 'loaded', title: '', messages: other }))).toBe('m1 m2 m5')
    expect(ids(after(loaded, { type: 'shown', messages: other }))).toBe('m1 m2 m5')
  })
})
