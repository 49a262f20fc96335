// What is remembered of the signed-in person: pages of it, or what a search finds. The last words count: an answer to
// earlier ones is dropped.
import { onBeforeUnmount, ref, shallowRef, watch } from 'vue'
import { api } from '../net/api'
import { reason } from '../texts'
import type { Memory, MemoryStanding } from '../wire'
import { noteExpiry } from './useSession'

const PAGE = 50
/** Long enough not to ask with every letter: each search is work for a node. */
const PAUSE_MS = 400

export function useMemories() {
  const memories = shallowRef<readonly Memory[]>([])
  const standing = shallowRef<MemoryStanding | null>(null)
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const more = ref(false)
  const words = ref('')
  /** Why a search found nothing; empty when it did not fail. */
  const failure = ref('')
  let timer: ReturnType<typeof setTimeout> | undefined

  async function load(): Promise<void> {
    const wanted = words.value.trim()
    failure.value = ''
    try {
      const [list, now] = await Promise.all([wanted ? api.findMemories(wanted) : api.memories(PAGE, null), api.memoryStanding()])
      if (words.value.trim() !== wanted) return
      memories.value = list
      standing.value = now
      more.value = !wanted && list.length === PAGE
      state.value = 'ready'
    } catch (error) {
      noteExpiry(error)
      if (words.value.trim() !== wanted) return
      if (state.value === 'loading') state.value = 'failed'
      else failure.value = reason(error)
    }
  }

  async function loadMore(): Promise<void> {
    const next = await api.memories(PAGE, memories.value.at(-1)?.id ?? null).catch(told)
    memories.value = [...memories.value, ...next]
    more.value = next.length === PAGE
  }

  async function add(text: string): Promise<void> {
    await api.addMemory(text).catch(told)
    words.value = ''
    await load()
  }

  async function change(id: string, text: string): Promise<void> {
    const changed = await api.changeMemory(id, text).catch(told)
    memories.value = memories.value.map((one) => (one.id === id ? changed : one))
  }

  async function remove(id: string): Promise<void> {
    await api.removeMemory(id).catch(told)
    await load()
  }

  async function removeAll(): Promise<void> {
    await api.removeMemories().catch(told)
    await load()
  }

  async function turn(on: boolean): Promise<void> {
    await api.switchMemory(on).catch(told)
    await load()
  }

  watch(words, () => {
    clearTimeout(timer)
    timer = setTimeout(() => void load(), PAUSE_MS)
  })
  onBeforeUnmount(() => clearTimeout(timer))

  return { memories, standing, state, more, words, failure, load, loadMore, add, change, remove, removeAll, turn }
}

function told(error: unknown): never {
  noteExpiry(error)
  throw error
}
