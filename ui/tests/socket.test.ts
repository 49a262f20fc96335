import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Chats } from '../src/chat/chats'
import { backoffMs, ChatSocket, type Link } from '../src/net/socket'
import type { ServerFrame } from '../src/wire'

class FakeSocket {
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event?: { code: number }) => void) | null = null
  onopen: (() => void) | null = null
  sent: unknown[] = []
  closed = false
  send(text: string): void { this.sent.push(JSON.parse(text)) }
  close(): void { this.closed = true }
  says(frame: unknown): void { this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) }) }
}

const HELLO = { type: 'hello', version: 3, swarm: { nodes: 1, models: ['m'] } }

function line() {
  const made: FakeSocket[] = []
  const links: Link[] = []
  const frames: ServerFrame[] = []
  const refused: number[] = []
  const socket = new ChatSocket(
    () => {
      const fake = new FakeSocket()
      made.push(fake)
      return fake as unknown as WebSocket
    },
    { frame: (frame) => frames.push(frame), link: (link) => links.push(link), refused: (attempt) => refused.push(attempt) },
    () => 'secret',
    () => 1,
  )
  const newest = () => made.at(-1) as FakeSocket
  return { socket, made, links, frames, refused, newest, state: () => links.at(-1)?.state }
}

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

describe('the socket', () => {
  it('is open when the gateway has said hello, and not before', () => {
    const { socket, newest, state } = line()
    socket.start()
    expect(state()).toBe('connecting')
    expect(socket.send({ type: 'stop', turn: 't' })).toBe(false)
    newest().says(HELLO)
    expect(state()).toBe('open')
    expect(socket.send({ type: 'stop', turn: 't' })).toBe(true)
    expect(newest().sent).toEqual([{ type: 'stop', turn: 't' }])
  })

  it('says who it is as soon as it is open', () => {
    const { socket, newest } = line()
    socket.start()
    expect(newest().sent).toEqual([])
    newest().onopen?.()
    expect(newest().sent).toEqual([{ type: 'authenticate', token: 'secret' }])
  })

  it('tells a refused token from a line that broke', () => {
    const { socket, made, newest, refused, state } = line()
    socket.start()
    newest().onclose?.({ code: 1006 })
    expect(refused).toEqual([])
    socket.retryNow()
    newest().onclose?.({ code: 4401 })
    expect(refused).toEqual([2])
    expect(state()).toBe('waiting')
    made[0]?.onclose?.({ code: 4401 })
    expect(refused).toEqual([2])
  })

  it('comes back after a break and begins to count anew', () => {
    const { socket, made, newest, state } = line()
    socket.start()
    newest().says(HELLO)
    newest().onclose?.()
    expect(state()).toBe('waiting')
    vi.advanceTimersByTime(499)
    expect(made).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(made).toHaveLength(2)
    newest().says(HELLO)
    newest().onclose?.()
    vi.advanceTimersByTime(500)
    expect(made).toHaveLength(3)
  })

  it('waits longer each time it fails, up to a ceiling', () => {
    const { socket, links, newest } = line()
    socket.start()
    const waits: number[] = []
    for (let n = 0; n < 8; n += 1) {
      newest().onclose?.()
      const link = links.at(-1)
      if (link?.state !== 'waiting') throw new Error('expected a wait')
      waits.push(link.retryAt - Date.now())
      vi.advanceTimersByTime(link.retryAt - Date.now())
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000])
  })

  it('spreads the tries by chance, never under half of the wait', () => {
    expect(backoffMs(3, () => 0)).toBe(2000)
    expect(backoffMs(3, () => 1)).toBe(4000)
    expect(backoffMs(99, () => 1)).toBe(15000)
  })

  it('gives up a line that opens and says nothing', () => {
    const { socket, newest, state } = line()
    socket.start()
    vi.advanceTimersByTime(10_000)
    expect(state()).toBe('waiting')
    expect(newest().closed).toBe(true)
  })

  it('tries at once when asked to, and not twice', () => {
    const { socket, made, newest } = line()
    socket.start()
    newest().onclose?.()
    socket.retryNow()
    socket.retryNow()
    expect(made).toHaveLength(2)
    vi.advanceTimersByTime(500)
    expect(made).toHaveLength(2)
  })

  it('does not listen to a line it has given up', () => {
    const { socket, made, frames, newest, state } = line()
    socket.start()
    socket.networkLost()
    vi.advanceTimersByTime(500)
    newest().says(HELLO)
    made[0]?.says(HELLO)
    made[0]?.onclose?.()
    expect(frames).toHaveLength(1)
    expect(state()).toBe('open')
  })

  it('stays closed after stop', () => {
    const { socket, made, newest, state } = line()
    socket.start()
    newest().says(HELLO)
    socket.stop()
    vi.advanceTimersByTime(60_000)
    expect(made).toHaveLength(1)
    expect(state()).toBe('closed')
    socket.start()
    expect(made).toHaveLength(2)
  })

  it('ignores frames that are none', () => {
    const { socket, frames, newest, state } = line()
    socket.start()
    newest().says(HELLO)
    const bad = [
      '', 'not json', '[]', 'null', '5', '"hello"', '{}', '{"type":5}', '{"type":"toString"}', '{"type":"__proto__"}',
      '{"type":"later-invention","x":1}', '{"type":"piece","turn":"t"}', '{"type":"piece","turn":"t","seq":"1","text":"x"}',
      '{"type":"piece","turn":"t","seq":1,"text":null}', '{"type":"done","turn":"t","conversation":"c"}',
      '{"type":"accepted","turn":"t","message":{},"conversation":{}}', '{"type":"swarm","nodes":"many","models":[]}',
      '{"type":"failed","error":"oh"}', '{"type":"hello","version":1,"swarm":null}',
    ]
    for (const frame of bad) newest().says(frame)
    newest().onmessage?.({ data: new ArrayBuffer(8) })
    expect(frames).toHaveLength(1)
    expect(state()).toBe('open')
  })

  it('joins a running turn where it was left, after a reconnect', () => {
    const { socket, frames, newest, links } = line()
    const chats = new Chats({
      send: (frame) => socket.send(frame), load: () => Promise.reject(new Error('not needed')),
      show: () => Promise.reject(new Error('not needed')), changed: () => {}, touched: () => {}, removed: () => {}, missed: () => {}, newRequest: () => 'r1',
    })
    const pump = () => {
      for (const frame of frames.splice(0)) chats.frame(frame)
      chats.lineIs(links.at(-1)?.state === 'open')
    }
    socket.start()
    newest().says(HELLO)
    pump()
    chats.ask('c1', 'hi', 'm')
    newest().says({ type: 'accepted', request: 'r1', conversation: { id: 'c1', title: 'hi' }, message: { id: 'm1', role: 'user', text: 'hi', created_at: '', status: 'complete', parent: null, versions: ['m1'] }, turn: 't1' })
    newest().says({ type: 'piece', turn: 't1', from: 0, seq: 7, text: 'one two' })
    pump()
    newest().onclose?.()
    pump()
    vi.advanceTimersByTime(500)
    newest().says(HELLO)
    pump()
    expect(newest().sent).toEqual([{ type: 'join', conversation: 'c1', turn: 't1', last_seq: 7 }])
    newest().says({ type: 'started', turn: 't1', conversation: 'c1', node_name: 'n', node_peer: 'p', path: 'direct', model: 'm', nodes: ['n'] })
    newest().says({ type: 'piece', turn: 't1', from: 7, seq: 13, text: ' three' })
    pump()
    expect(chats.get('c1').turn?.text).toBe('one two three')
  })
})
