// The characters that the signed-in person may talk to: one's own, and those that others share.
import { ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { Character, NewCharacter } from '../wire'
import { useConversations } from './useConversations'
import { noteExpiry } from './useSession'

const characters = shallowRef<readonly Character[]>([])
const state = ref<'loading' | 'ready' | 'failed'>('loading')

async function load(): Promise<void> {
  try {
    characters.value = await api.characters()
    state.value = 'ready'
  } catch (error) {
    noteExpiry(error)
    if (state.value === 'loading') state.value = 'failed'
  }
}

/** `picture` is base64; null takes it away, and undefined leaves it as it is. */
async function save(id: string | null, what: NewCharacter, picture?: string | null): Promise<void> {
  const saved = await (id ? api.changeCharacter(id, what) : api.makeCharacter(what)).catch(told)
  if (picture !== undefined) await api.setPicture(saved.id, picture).catch(told)
  await load()
}

async function remove(id: string): Promise<void> {
  await api.removeCharacter(id).catch(told)
  characters.value = characters.value.filter((one) => one.id !== id)
}

/** The id of a new conversation with it. */
async function begin(id: string): Promise<string> {
  const made = await api.begin({ character: id }).catch(told)
  useConversations().touch(made)
  return made.id
}

function told(error: unknown): never {
  noteExpiry(error)
  throw error
}

function clear(): void {
  characters.value = []
  state.value = 'loading'
}

export function useCharacters() {
  return { characters, state, load, save, remove, begin, clear }
}
