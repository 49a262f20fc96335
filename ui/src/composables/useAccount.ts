// The signed-in person's sessions and password.
import { ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { SessionView } from '../wire'
import { noteExpiry } from './useSession'

export function useAccount() {
  const sessions = shallowRef<readonly SessionView[]>([])
  const state = ref<'loading' | 'ready' | 'failed'>('loading')

  async function load(): Promise<void> {
    try {
      sessions.value = await api.sessions()
      state.value = 'ready'
    } catch (error) {
      noteExpiry(error)
      state.value = 'failed'
    }
  }

  async function end(id: string): Promise<void> {
    await api.endSession(id).catch(told)
    sessions.value = sessions.value.filter((session) => session.id !== id)
  }

  const changePassword = (old: string, next: string) => api.changePassword(old, next).catch(told)

  function told(error: unknown): never {
    noteExpiry(error)
    throw error
  }

  return { sessions, state, load, end, changePassword }
}
