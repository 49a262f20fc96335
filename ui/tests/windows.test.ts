import { describe, expect, it } from 'vitest'
import { accepted, answered, conversation, done, piece, said } from './frames'
import { settled, world } from './world'

describe('windows of one person', () => {
  it('follow a question that was asked in another one, and only where it is shown', async () => {
    const { chats, sent } = world([said('m1', 'hi')])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    chats.frame({ type: 'began', conversation: 'c2', turn: 't8' })
    chats.frame({ type: 'began', conversation: 'c1', turn: 't7' })
    expect(sent.slice(1)).toEqual([{ type: 'join', conversation: 'c1', turn: null, last_seq: 0 }])
    chats.frame(accepted(null, 't7', { ...said('m3', 'and?'), parent: 'm1' }))
    chats.frame(piece(3, 'abc', 't7'))
    expect(chats.get('c1')).toMatchObject({ turn: { id: 't7', text: 'abc' } })
    expect(chats.get('c1').messages.map((m) => m.text)).toEqual(['hi', 'and?'])
  })

  it('do not join what they follow, what is whole, or while their own question is on its way', async () => {
    const { chats, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.frame({ type: 'began', conversation: 'c1', turn: 't1' })
    chats.frame(accepted())
    chats.frame({ type: 'began', conversation: 'c1', turn: 't1' })
    chats.frame(done(answered('t1', 'whole')))
    chats.frame({ type: 'began', conversation: 'c1', turn: 't1' })
    expect(sent.map((f) => f.type)).toEqual(['ask'])
  })

  it('join the next turn when the one before it has ended here too', () => {
    const { chats, sent } = world()
    chats.ask('c1', 'hi', null)
    chats.frame(accepted())
    chats.frame({ type: 'began', conversation: 'c1', turn: 't2' })
    expect(sent).toHaveLength(1)
    chats.frame(done(answered('t1', 'whole')))
    expect(sent.at(-1)).toEqual({ type: 'join', conversation: 'c1', turn: null, last_seq: 0 })
  })

  it('read an answer that they did not follow, and not one that they have', async () => {
    const { chats, store } = world([said('m1', 'hi')])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    await settled()
    store.messages = [said('m1', 'hi'), answered('t5', 'late')]
    chats.frame({ type: 'ended', conversation: 'c1', turn: 't5' })
    await settled()
    expect(chats.get('c1').messages.at(-1)?.text).toBe('late')
    store.messages = []
    chats.frame({ type: 'ended', conversation: 'c1', turn: 't5' })
    await settled()
    expect(chats.get('c1').messages).toHaveLength(2)
  })

  it('show the branch, the name and the end of a conversation that were chosen elsewhere', async () => {
    const { chats, store, touched, removed } = world([said('m1', 'hi'), answered('m2', 'one')])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    store.messages = [said('m1', 'hi'), answered('m3', 'another')]
    chats.frame({ type: 'reread', conversation: 'c1' })
    await settled()
    expect(chats.get('c1').messages.map((m) => m.id)).toEqual(['m1', 'm3'])
    chats.frame({ type: 'changed', conversation: { ...conversation, title: 'Better' } })
    expect(chats.get('c1').title).toBe('Better')
    expect(touched).toHaveBeenLastCalledWith({ ...conversation, title: 'Better' }, false)
    chats.frame({ type: 'deleted', conversation: 'c1' })
    expect(chats.get('c1').loading).toBe('missing')
    expect(removed).toHaveBeenCalledWith('c1')
  })

  it('read all anew when they have missed something, also after a break', async () => {
    const { chats, store, missed, sent } = world([said('m1', 'hi'), answered('m2', 'one')])
    await chats.open('c1')
    chats.frame({ type: 'idle', conversation: 'c1' })
    store.messages = [said('m1', 'hi'), answered('m3', 'another')]
    chats.frame({ type: 'missed' })
    await settled()
    expect(chats.get('c1').messages.at(-1)?.text).toBe('another')
    expect([missed.mock.calls.length, sent.length]).toEqual([1, 2])
    chats.frame({ type: 'idle', conversation: 'c1' })
    store.messages = [said('m1', 'hi'), answered('m4', 'a third')]
    chats.lineIs(false)
    chats.lineIs(true)
    await settled()
    expect(chats.get('c1').messages.at(-1)?.text).toBe('a third')
    expect(missed).toHaveBeenCalledTimes(2)
    store.fails = { status: 404 }
    chats.frame({ type: 'reread', conversation: 'c1' })
    await settled()
    expect(chats.get('c1').loading).toBe('missing')
  })
})
