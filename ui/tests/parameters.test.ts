// Parameters of a conversation, branches into new ones, and what the palette finds.
import { createApp, h, ref } from 'vue'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { NEW } from '../src/chat/chats'
import { numberIn } from '../src/components/characters/numbers'
import { useCommands } from '../src/composables/useCommands'
import { useConversations } from '../src/composables/useConversations'
import { useOverlay } from '../src/composables/useOverlay'
import { none, useParameters } from '../src/composables/useParameters'
import { useShortcuts } from '../src/composables/useShortcuts'
import { answered, conversation, said } from './frames'
import { settled, world } from './world'

interface Asked { method: string; path: string; body: Record<string, unknown> }

function gateway(answer: unknown, status = 200): Asked[] {
  const asked: Asked[] = []
  vi.stubGlobal('fetch', vi.fn((path: string, init: RequestInit) => {
    asked.push({ method: init.method ?? '', path, body: init.body ? JSON.parse(String(init.body)) : {} })
    return Promise.resolve(new Response(JSON.stringify(answer), { status }))
  }))
  return asked
}
afterEach(() => vi.unstubAllGlobals())

const sampling = { temperature: 0.5, top_p: null, max_tokens: 7 }

describe('parameters', () => {
  const { fresh, load, save, begin } = useParameters()

  it('of a chat that has not begun wait for its first question', async () => {
    const asked = gateway({ conversation })
    await save(null, { system: 'Be brief.', sampling })
    expect(asked).toEqual([])
    expect(await load(null)).toEqual({ system: 'Be brief.', sampling })
    await begin()
    expect(asked[0]).toMatchObject({ method: 'POST', path: '/api/conversations', body: { system_prompt: 'Be brief.', sampling } })
    expect(fresh.value).toBeNull()
  })

  it('that are all empty are none', async () => {
    await save(null, { system: '', sampling: none.sampling })
    expect(fresh.value).toBeNull()
  })

  it('of a conversation are the gateway’s, also where it began without words for the model', async () => {
    gateway({ conversation: { ...conversation, sampling }, messages: [said('m1', 'hi')] })
    expect(await load('c1')).toEqual({ system: '', sampling })
    const asked = gateway({ conversation })
    await save('c1', { system: 'Be late.', sampling })
    expect(asked[0]).toEqual({ method: 'PATCH', path: '/api/conversations/c1', body: { sampling, system_prompt: 'Be late.' } })
  })

  it('stay when the gateway does not take them', async () => {
    await save(null, { system: 'x', sampling })
    gateway({ error: { code: 'storage_full', message: 'full' } }, 507)
    await expect(begin()).rejects.toThrow('full')
    expect(fresh.value?.system).toBe('x')
    fresh.value = null
  })

  it('are numbers within their bounds', () => {
    expect([numberIn('f', ''), numberIn('f', ' 0,5 ', [0, 2])]).toEqual([null, 0.5])
    for (const wrong of ['x', '3', '-1', 'Infinity']) expect(() => numberIn('f', wrong, [0, 2])).toThrow(/number|must be/)
  })
})

describe('a first question with parameters', () => {
  it('waits for its conversation and is asked in it', async () => {
    const { chats, sent, touched } = world()
    const asking = chats.askIn(() => Promise.resolve(conversation), 'hi', 'm')
    expect(chats.get(NEW).turn?.question).toBe('hi')
    await asking
    expect(sent.at(-1)).toEqual({ type: 'ask', request: 'r1', conversation: 'c1', text: 'hi', model: 'm' })
    expect(touched).toHaveBeenCalledWith(conversation, true)
    expect(chats.get(NEW).turn).toBeNull()
    expect(chats.get('c1').turn?.question).toBe('hi')
  })

  it('comes back into the box when there is no room for it', async () => {
    const { chats, sent } = world()
    await chats.askIn(() => Promise.reject({ body: { code: 'storage_full', message: 'full' } }), 'hi', null)
    expect(chats.get(NEW)).toMatchObject({ turn: null, unsent: 'hi', problem: { code: 'storage_full' } })
    expect(sent).toEqual([])
  })

  it('is not asked twice when the line broke meanwhile', async () => {
    const { chats, sent } = world()
    let made: (value: typeof conversation) => void = () => {}
    const asking = chats.askIn(() => new Promise((done) => { made = done }), 'hi', null)
    chats.lineIs(false)
    chats.lineIs(true)
    await settled()
    expect(chats.get(NEW).unsent).toBe('hi')
    made(conversation)
    await asking
    expect(sent.filter((frame) => frame.type === 'ask')).toEqual([])
  })
})

describe('a branch', () => {
  it('is all that led to an answer, as a conversation of its own', async () => {
    const asked = gateway({ conversation: { ...conversation, id: 'c2' } })
    const messages = [said('m1', 'one'), answered('m2', 'two'), said('m3', 'three'), answered('m4', 'four')]
    await useConversations().branchOff('t'.repeat(90), messages, 'm2')
    const { body } = asked[0] as Asked
    expect(body).toMatchObject({ format: 'starling-conversation', version: 1, title: 't'.repeat(60) })
    expect(body['messages']).toMatchObject([{ follows: 0, role: 'user', text: 'one' }, { follows: 1, role: 'assistant', text: 'two' }])
  })
})

describe('keys and the palette', () => {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/:rest(.*)*', component: { render: () => h('i') } }] })
  const within = <T>(composable: () => T): T => {
    let made: T | undefined
    createApp({ setup: () => { made = composable(); return () => h('i') } }).use(router).mount(document.createElement('div'))
    return made as T
  }
  const { open } = useOverlay()
  const press = (key: string, more: KeyboardEventInit = {}, target: EventTarget = document) =>
    target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }))

  it('opens and closes with the same key, and leaves letters to who writes', () => {
    within(useShortcuts)
    press('k', { ctrlKey: true })
    expect(open.value).toBe('palette')
    press('k', { metaKey: true })
    expect(open.value).toBeNull()
    press('/', { ctrlKey: true, shiftKey: true })
    expect(open.value).toBe('shortcuts')
    open.value = null
    const field = document.body.appendChild(document.createElement('input'))
    expect(press('/', {}, field)).toBe(true)
    field.remove()
    press('k')
    expect(open.value).toBeNull()
  })

  it('finds what has all the words', () => {
    const words = ref('')
    const found = within(() => useCommands(words))
    const all = found.value.length
    words.value = 'theme nothing'
    expect(found.value).toEqual([])
    words.value = 'KEYBOARD short'
    expect(found.value.map(({ id }) => id)).toEqual(['shortcuts'])
    found.value[0]?.act()
    expect(open.value).toBe('shortcuts')
    open.value = null
    words.value = ''
    expect(found.value).toHaveLength(all)
  })
})
