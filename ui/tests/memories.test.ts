// The memory page's knowledge of what is remembered, with a made-up gateway.
import { createApp, h, nextTick } from 'vue'
import { afterEach, describe, expect, it, vi } from 'vitest'
import MemoryHead from '../src/components/memory/MemoryHead.vue'
import { useMemories } from '../src/composables/useMemories'
import { memory } from '../src/texts/memory/en'
import { chat } from '../src/texts/chat/en'
import type { Memory, MemoryStanding } from '../src/wire'

const at = '2026-11-22T16:00:00.000Z'
const fact = (id: string, more: Partial<Memory> = {}): Memory =>
  ({ id, kind: 'fact', text: `fact ${id}`, conversation: null, created_at: at, updated_at: at, similarity: null, ...more })
const standing: MemoryStanding = { enabled: true, facts: 2, max_facts: 1000, passages: 3, waiting: 0, model: 'mini' }

/** A gateway that answers by path, and remembers what it was asked. */
function gateway(answers: Record<string, () => unknown>) {
  const asked: string[] = []
  vi.stubGlobal('fetch', vi.fn((path: string, init: RequestInit) => {
    const key = `${init.method} ${path}`
    asked.push(key)
    const found = Object.entries(answers).find(([start]) => key.startsWith(start))?.[1]()
    if (found === undefined) return Promise.resolve(new Response('{"error":{"code":"no_embedding_node","message":"nobody embeds"}}', { status: 503 }))
    return Promise.resolve(found === null ? new Response(null, { status: 204 }) : new Response(JSON.stringify(found)))
  }))
  return asked
}

function used<T>(composable: () => T): T {
  let made: T | undefined
  createApp({ setup: () => { made = composable(); return () => h('i') } }).mount(document.createElement('div'))
  return made as T
}

afterEach(() => { vi.unstubAllGlobals(); vi.useRealTimers() })

describe('what is remembered', () => {
  it('comes in pages and can be changed and deleted', async () => {
    let there = Array.from({ length: 50 }, (_, n) => fact(String(n)))
    const asked = gateway({
      'GET /api/memories?limit=50&before=49': () => ({ memories: [fact('50')] }),
      'GET /api/memories?': () => ({ memories: there }),
      'GET /api/memory': () => standing,
      'PATCH /api/memories/1': () => ({ memory: fact('1', { text: 'other words' }) }),
      'DELETE /api/memories': () => { there = []; return null },
    })
    const page = used(useMemories)
    await page.load()
    expect([page.state.value, page.more.value, page.memories.value.length]).toEqual(['ready', true, 50])
    await page.loadMore()
    expect([page.more.value, page.memories.value.length]).toEqual([false, 51])
    await page.change('1', 'other words')
    expect(page.memories.value[1]?.text).toBe('other words')
    await page.removeAll()
    expect(page.memories.value).toEqual([])
    expect(asked).toContain('DELETE /api/memories')
  })

  it('is looked through once the fingers rest, and says why that does not work', async () => {
    vi.useFakeTimers()
    const asked = gateway({
      'GET /api/memories?limit=20&q=tea': () => ({ memories: [fact('tea', { similarity: 0.8 })] }),
      'GET /api/memories?limit=50': () => ({ memories: [] }),
      'GET /api/memory': () => standing,
    })
    const page = used(useMemories)
    await page.load()
    for (const words of ['t', 'te', 'tea']) { page.words.value = words; await nextTick(); await vi.advanceTimersByTimeAsync(100) }
    await vi.advanceTimersByTimeAsync(500)
    expect(asked.filter((one) => one.includes('q='))).toEqual(['GET /api/memories?limit=20&q=tea'])
    expect(page.memories.value.map((one) => one.id)).toEqual(['tea'])
    page.words.value = 'coffee'
    await nextTick()
    await vi.advanceTimersByTimeAsync(500)
    expect(page.failure.value).toBe('Nobody embeds.')
    expect(page.state.value).toBe('ready')
  })
})

describe('words about memory', () => {
  it('say where one is from and what waits', () => {
    expect(chat.message.remembered(3)).toBe('remembered 3')
    expect(memory.facts(fact('1'))).toMatch(/^a fact, /)
    expect(memory.facts(fact('1', { kind: 'message', similarity: 0.456 }))).toMatch(/^46% alike · said /)
    expect(memory.waits(standing)).toBe('')
    expect(memory.waits({ ...standing, waiting: 4 })).toBe('4 being read')
    expect(memory.waits({ ...standing, waiting: 4, model: null })).toContain('wait for a node')
  })
})

describe('the switch', () => {
  it('says which way it was turned', () => {
    const root = document.createElement('div')
    const heard: unknown[] = []
    createApp({ render: () => h(MemoryHead, { standing, busy: false, onToggle: (on: boolean) => heard.push(on), onRemoveAll: () => heard.push('all') }) }).mount(root)
    const box = root.querySelector('input') as HTMLInputElement
    expect(box.checked).toBe(true)
    box.checked = false
    box.dispatchEvent(new Event('change'))
    root.querySelector('button')?.click()
    expect(heard).toEqual([false, 'all'])
    expect(root.textContent).toContain('2 facts of 1,000 · 3 passages')
  })
})
