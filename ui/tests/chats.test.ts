import { describe, expect, it } from 'vitest'
import { NEW } from '../src/chat/chats'
import { accepted, answered, conversation, done, failed, piece, said, started } from './frames'
import { settled, world } from './world'

describe('the chats', () => {
  it('move a new conversation to its id when it is accepted', () => {
    const { chats, sent, touched } = world()
    chats.ask(NEW, 'hi', 'm')
    expect(sent).toEqual([{ type: 'ask', request: 'r1', conversation: null, text: 'hi', model: 'm' }])
    chats.frame(accepted())
    expect(chats.get('c1').messages).toHaveLength(1)
    expect(chats.get(NEW).turn).toBeNull()
    expect(touched).toHaveBeenCalledWith(conversation, true)
    chats.frame(piece(1, 'a'))
    expect(chats.get('c1').turn?.text).toBe('a')
  })

  it('open a conversation and join the turn that runs in it', async () => {
    const { chats, sent } = world([said('m1', 'hi')])
    await chats.open('c1')
    expect(sent).toEqual([{ type: 'join', conversation: 'c1', turn: null, last_seq: 0 }])
    chats.frame({ type: 'waiting', turn: 't5', position: 2, seconds: 9 })
    chats.frame(started('t5'))
    chats.frame(piece(20, 'twenty letters so fa', 't5'))
    expect(chats.get('c1').turn).toMatchObject({ id: 't5', text: 'twenty letters so fa' })
  })

  it('read the store again when the answer came between the two', async () => {
    const { chats, store } = world([said('m1', 'hi')])
    await chats.open('c1')
    store.messages = [said('m1', 'hi'), answered('m2', 'done')]
    chats.frame({ type: 'idle', conversation: 'c1' })
    await settled()
    expect(chats.get('c1').messages.at(-1)?.text).toBe('done')
  })

  it('read the end of a turn from the store when it ended during a break', async () => {
    const { chats, store, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.frame(accepted())
    chats.frame(piece(3, 'abc'))
    chats.lineIs(false)
    chats.lineIs(true)
    expect(sent.at(-1)).toEqual({ type: 'join', conversation: 'c1', turn: 't1', last_seq: 3 })
    store.messages = [said('m1', 'hi'), answered('m2', 'abcdef')]
    chats.frame({ type: 'idle', conversation: 'c1' })
    await settled()
    expect(chats.get('c1')).toMatchObject({ turn: null })
    expect(chats.get('c1').messages.at(-1)?.text).toBe('abcdef')
  })

  it('give a question back when the line is down', () => {
    const { chats, line } = world()
    line.up = false
    chats.ask('c1', 'hi', null)
    expect(chats.get('c1')).toMatchObject({ turn: null, unsent: 'hi', problem: { code: 'not_connected' } })
  })

  it('give a question back that was lost on the way, and not one that arrived', async () => {
    const lost = world()
    lost.chats.ask('c1', 'hi', null)
    lost.chats.lineIs(false)
    lost.chats.lineIs(true)
    await settled()
    expect(lost.chats.get('c1')).toMatchObject({ unsent: 'hi', problem: { code: 'connection_lost' } })

    const arrived = world()
    arrived.chats.ask('c1', 'hi', null)
    arrived.chats.lineIs(false)
    arrived.store.messages = [said('m1', 'hi')]
    arrived.chats.lineIs(true)
    await settled()
    expect(arrived.chats.get('c1')).toMatchObject({ unsent: null, turn: null })
    expect(arrived.sent.at(-1)?.type).toBe('join')
  })

  it('stop a turn, also before it has a name', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.stop('c1')
    chats.stop('c1')
    expect(sent.map((f) => f.type)).toEqual(['ask'])
    chats.frame(accepted())
    expect(sent.at(-1)).toEqual({ type: 'stop', turn: 't1' })
    expect(chats.get('c1').turn?.stopping).toBe(true)
  })

  const cut = answered('t1', 'half', { status: 'partial', error: { code: 'node_lost', message: 'Gone.' }, resumable: true })

  it('go on with an answer in its place', async () => {
    const { chats, sent } = world([said('m1', 'hi'), cut])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    chats.goOn('c1', 't1')
    chats.goOn('c1', 't1')
    expect(sent.slice(1)).toEqual([{ type: 'go_on', request: 'r1', conversation: 'c1', turn: 't1' }])
    expect(chats.get('c1').turn).toMatchObject({ id: 't1', text: 'half' })
    chats.frame(accepted('r1'))
    chats.frame(piece(4, 'half', 't1', 0))
    chats.frame(piece(10, ' of it'))
    expect(chats.get('c1').turn?.text).toBe('half of it')
    chats.frame(done(answered('t1', 'half of it')))
    expect(chats.get('c1')).toMatchObject({ turn: null, problem: null })
    expect(chats.get('c1').messages.map((m) => m.text)).toEqual(['hi', 'half of it'])
  })

  it('keep an answer that cannot go on, and say why', async () => {
    const { chats, line } = world([said('m1', 'hi'), cut])
    await chats.open('c1')
    chats.goOn('c1', 't1')
    chats.frame(failed({ turn: null, request: 'r1', error: { code: 'model_not_here', message: 'No.' } }))
    expect(chats.get('c1')).toMatchObject({ turn: null, unsent: null, problem: { code: 'model_not_here' } })
    expect(chats.get('c1').messages.at(-1)).toEqual(cut)
    line.up = false
    chats.goOn('c1', 't1')
    expect(chats.get('c1')).toMatchObject({ turn: null, problem: { code: 'not_connected' } })
  })

  it('show a turn on while the gateway is away, and join it when it is back', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.frame(accepted())
    chats.frame(piece(6, 'abcdef'))
    chats.lineIs(false)
    expect(chats.get('c1').turn?.text).toBe('abcdef')
    chats.lineIs(true)
    expect(sent.at(-1)).toEqual({ type: 'join', conversation: 'c1', turn: 't1', last_seq: 6 })
    chats.frame(accepted(null))
    // It was killed, and what it has is a moment older.
    chats.frame(piece(4, 'abcd', 't1', 0))
    chats.frame(piece(8, 'efgh'))
    expect(chats.get('c1').turn?.text).toBe('abcdefgh')
  })

  it('ask one thing at a time', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'one', null)
    chats.ask('c1', 'two', null)
    expect(sent).toHaveLength(1)
  })

  it('join only once while a join has no answer', async () => {
    const { chats, sent } = world([said('m1', 'hi')])
    await Promise.all([chats.open('c1'), chats.open('c1')])
    expect(sent).toHaveLength(1)
  })

  it('keep late frames of an ended turn out of the conversation', () => {
    const { chats } = world()
    chats.ask('c1', 'hi', null)
    chats.frame(accepted())
    chats.frame(done(answered('m2', 'a')))
    chats.frame(piece(9, 'late'))
    expect(chats.get('c1').turn).toBeNull()
  })

  it('show the other window\'s answer when that one asked first', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.frame(failed({ turn: null, request: 'r1', error: { code: 'turn_running', message: '' } }))
    expect(chats.get('c1').unsent).toBe('hi')
    expect(sent.at(-1)?.type).toBe('join')
  })

  it('say that a conversation is not there', async () => {
    const { chats, store } = world()
    store.fails = { status: 404, body: { code: 'no_such_conversation', message: 'No.' } }
    await chats.open('c9')
    expect(chats.get('c9').loading).toBe('missing')
  })

  it('load again by themselves when the line is back', async () => {
    const { chats, store } = world([said('m1', 'hi')])
    store.fails = { status: 0, body: { code: 'unreachable', message: 'No.' } }
    chats.lineIs(false)
    await chats.open('c1')
    expect(chats.get('c1').loading).toBe('failed')
    store.fails = null
    chats.lineIs(true)
    await settled()
    expect(chats.get('c1').loading).toBe('ready')
  })
})

describe('an answer that is stored while it runs', () => {
  const running = answered('t1', '', { status: 'partial' })

  it('is neither called interrupted nor unanswered before the gateway has said what is', async () => {
    const { chats } = world([said('m1', 'hi'), running])
    await chats.open('c1')
    expect(chats.get('c1')).toMatchObject({ checking: true, turn: null })
    chats.frame(accepted(null))
    chats.frame(piece(5, 'hello'))
    expect(chats.get('c1')).toMatchObject({ checking: false, turn: { id: 't1', text: 'hello' } })
    chats.frame(done(answered('t1', 'hello there')))
    expect(chats.get('c1').messages.map((m) => m.text)).toEqual(['hi', 'hello there'])
  })

  it('is read again when it does not run any more', async () => {
    const { chats, store } = world([said('m1', 'hi'), running])
    await chats.open('c1')
    store.messages = [said('m1', 'hi'), answered('t1', 'half', { status: 'partial', error: { code: 'interrupted', message: '' } })]
    chats.frame({ type: 'idle', conversation: 'c1' })
    await settled()
    expect(chats.get('c1')).toMatchObject({ checking: false })
    expect(chats.get('c1').messages.at(-1)?.text).toBe('half')
  })

  it('is asked for when the line opens after the page has loaded', async () => {
    const { chats, sent, line } = world([said('m1', 'hi'), running])
    chats.lineIs(false)
    line.up = false
    await chats.open('c1')
    expect(sent).toHaveLength(0)
    expect(chats.get('c1').checking).toBe(true)
    line.up = true
    chats.lineIs(true)
    expect(sent).toEqual([{ type: 'join', conversation: 'c1', turn: null, last_seq: 0 }])
  })

  it('ask in place of a question, and for another answer', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'new', 'm', 'm3')
    chats.frame(failed({ turn: null, request: 'r1' }))
    chats.again('c1', 'm2', null)
    expect(sent).toEqual([
      { type: 'ask', request: 'r1', conversation: 'c1', text: 'new', model: 'm', instead_of: 'm3' },
      { type: 'again', request: 'r2', conversation: 'c1', answer: 'm2', model: null },
    ])
    chats.again('c1', 'm2', null)
    expect(sent).toHaveLength(2)
  })

  it('show another version, or say why not', async () => {
    const { chats, store } = world([said('m1', 'a')])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    store.messages = [said('m3', 'b')]
    await chats.show('c1', 'm3')
    expect(chats.get('c1').messages.map((m) => m.id)).toEqual(['m3'])
    store.fails = { status: 409, body: { code: 'turn_running', message: 'Wait.' } }
    await chats.show('c1', 'm1')
    expect(chats.get('c1').problem?.code).toBe('turn_running')
    expect(chats.get('c1').messages.map((m) => m.id)).toEqual(['m3'])
  })

  it('look for another answer that was asked for when the line broke', async () => {
    const { chats, sent, store } = world([said('m1', 'a'), answered('m2', 'b', { parent: 'm1' })])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    chats.again('c1', 'm2', null)
    chats.lineIs(false)
    store.messages = [said('m1', 'a')]
    chats.lineIs(true)
    await settled()
    expect(sent.at(-1)).toEqual({ type: 'join', conversation: 'c1', turn: null, last_seq: 0 })
    expect(chats.get('c1').messages.map((m) => m.id)).toEqual(['m1', 'm2'])
  })

  it('take the title that a model has found', async () => {
    const { chats, touched } = world([said('m1', 'a')])
    await chats.open('c1')
    const named = { ...conversation, title: 'Birds' }
    chats.frame({ type: 'titled', conversation: named })
    expect(chats.get('c1').title).toBe('Birds')
    expect(touched).toHaveBeenCalledWith(named, false)
  })
})
