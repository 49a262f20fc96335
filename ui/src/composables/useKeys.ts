// The API keys of the signed-in person. A secret is held only until the page is left.
import { ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { ApiKey, NewKey } from '../wire'
import { noteExpiry } from './useSession'

export function useKeys() {
  const keys = shallowRef<readonly ApiKey[]>([])
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const secret = ref<string | null>(null)

  async function load(): Promise<void> {
    try {
      keys.value = await api.keys()
      state.value = 'ready'
    } catch (error) {
      noteExpiry(error)
      state.value = 'failed'
    }
  }

  async function make(what: NewKey): Promise<void> {
    const made = await api.makeKey(what).catch(told)
    keys.value = [made.key, ...keys.value]
    secret.value = made.secret
  }

  async function revoke(id: string): Promise<void> {
    await api.revokeKey(id).catch(told)
    keys.value = keys.value.filter((key) => key.id !== id)
  }

  function told(error: unknown): never {
    noteExpiry(error)
    throw error
  }

  return { keys, state, secret, load, make, revoke }
}
