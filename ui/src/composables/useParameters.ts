// How a conversation is answered: what the model is told first, and how its words are chosen. They belong to the
// conversation and are kept by the gateway; those of a chat that has not begun yet wait here for its first question.
import { shallowRef } from 'vue'
import { api } from '../net/api'
import type { Conversation, NewConversation, SamplingDefaults } from '../wire'
import { noteExpiry } from './useSession'

export interface Parameters {
  system: string
  sampling: SamplingDefaults
}

export const none: Parameters = { system: '', sampling: { temperature: null, top_p: null, max_tokens: null } }

/** Of the chat that has not begun; null when nothing is asked of it. */
const fresh = shallowRef<Parameters | null>(null)

function isNone({ system, sampling }: Parameters): boolean {
  return !system && Object.values(sampling).every((value) => value === null)
}

async function load(id: string | null): Promise<Parameters> {
  if (id === null) return fresh.value ?? none
  const { conversation, messages } = await api.conversation(id).catch(told)
  const [first] = messages
  return { system: first?.role === 'system' ? first.text : '', sampling: conversation.sampling }
}

async function save(id: string | null, wanted: Parameters): Promise<void> {
  if (id === null) fresh.value = isNone(wanted) ? null : wanted
  else await api.tune(id, { sampling: wanted.sampling, system_prompt: wanted.system }).catch(told)
}

/** The conversation that they were meant for. */
async function begin(): Promise<Conversation> {
  const { system, sampling } = fresh.value ?? none
  const how: NewConversation = { sampling, ...(system ? { system_prompt: system } : {}) }
  const made = await api.begin(how).catch(told)
  fresh.value = null
  return made
}

function told(error: unknown): never {
  noteExpiry(error)
  throw error
}

export function useParameters() {
  return { fresh, load, save, begin, clear: () => { fresh.value = null } }
}
