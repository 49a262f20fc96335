// The list of conversations, newest first, a page at a time.
import { computed, ref, shallowRef } from 'vue'
import { api, ApiError } from '../net/api'
import type { Conversation, Message } from '../wire'
import { chat as chatTexts } from '../texts/chat'
import { noteExpiry } from './useSession'

const PAGE = 50

const list = shallowRef<readonly Conversation[]>([])
const state = ref<'loading' | 'ready' | 'failed'>('loading')
const more = ref(false)
/** The last conversation of the last page read, in the gateway's order. */
let cursor: string | null = null

async function load(): Promise<void> {
  await page(null)
}

async function loadMore(): Promise<void> {
  await page(cursor)
}

async function page(before: string | null): Promise<void> {
  try {
    const found = await api.conversations(PAGE, before)
    const known = before ? list.value : []
    const ids = new Set(known.map((c) => c.id))
    list.value = newestFirst([...known, ...found.filter((c) => !ids.has(c.id))])
    cursor = found.at(-1)?.id ?? null
    more.value = found.length === PAGE
    state.value = 'ready'
  } catch (error) {
    noteExpiry(error)
    if (state.value === 'loading') state.value = 'failed'
  }
}

/** A conversation that was made or spoken in is the newest. */
function touch(conversation: Conversation): void {
  list.value = newestFirst([conversation, ...list.value.filter((c) => c.id !== conversation.id)])
}

/** As the gateway has them: those that are pinned, and then the last used. */
function newestFirst(all: readonly Conversation[]): Conversation[] {
  return [...all].sort((a, b) => Number(b.pinned) - Number(a.pinned) || Date.parse(b.updated_at) - Date.parse(a.updated_at))
}

async function pin(id: string, pinned: boolean): Promise<void> {
  await api.pin(id, pinned).catch(told)
  list.value = newestFirst(list.value.map((c) => (c.id === id ? { ...c, pinned } : c)))
}

/** A file as the gateway has written it. */
async function importText(text: string): Promise<Conversation> {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch {
    throw new Error(chatTexts.texts.value.list.noFile)
  }
  const made = await api.importFile(file).catch(told)
  touch(made)
  return made
}

/** Longer titles are refused: 256 bytes, and a letter has up to four. */
const LONGEST_TITLE = 60

/** All that led to a message, and it, as a new conversation. */
async function branchOff(title: string, messages: readonly Message[], last: string): Promise<Conversation> {
  const said = messages.slice(0, messages.findIndex((m) => m.id === last) + 1).map((message, at) => ({
    follows: at, role: message.role, text: message.text, status: message.status,
    created_at_ms: Date.parse(message.created_at), ...(message.answer ? { answer: { ...message.answer, memories: [] } } : {}),
  }))
  const cut = [...title].slice(0, LONGEST_TITLE).join('')
  const made = await api.importFile({ format: 'starling-conversation', version: 1, title: cut, created_at_ms: Date.now(), messages: said }).catch(told)
  touch(made)
  return made
}

function told(error: unknown): never {
  noteExpiry(error)
  throw error
}

async function rename(id: string, title: string): Promise<void> {
  const before = list.value
  list.value = before.map((c) => (c.id === id ? { ...c, title } : c))
  await api.rename(id, title).catch((error: unknown) => {
    list.value = before
    noteExpiry(error)
    throw error
  })
}

async function remove(id: string): Promise<void> {
  await api.remove(id).catch((error: unknown) => {
    noteExpiry(error)
    // Deleted elsewhere already: what was wanted is so.
    if (!(error instanceof ApiError) || error.status !== 404) throw error
  })
  gone(id)
}

/** Deleted here or elsewhere. */
function gone(id: string): void {
  list.value = list.value.filter((c) => c.id !== id)
}

function clear(): void {
  list.value = []
  state.value = 'loading'
  more.value = false
}

export function useConversations() {
  return { list: computed(() => list.value), state, more, load, loadMore, touch, rename, pin, importText, branchOff, remove, gone, clear }
}
