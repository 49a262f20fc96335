// Accounts, for administrators.
import { ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { ChangePerson, Person, UserRole } from '../wire'
import { told } from './useLoaded'
import { noteExpiry } from './useSession'

const PAGE = 50
export const roles: readonly UserRole[] = ['user', 'worker', 'admin']

export function usePeople() {
  const people = shallowRef<readonly Person[]>([])
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const more = ref(false)

  async function load(): Promise<void> {
    people.value = []
    await loadMore()
  }

  async function loadMore(): Promise<void> {
    try {
      const page = await api.people(PAGE, people.value.at(-1)?.username ?? '')
      people.value = [...people.value, ...page]
      more.value = page.length === PAGE
      state.value = 'ready'
    } catch (error) {
      noteExpiry(error)
      state.value = 'failed'
    }
  }

  async function change(id: string, what: ChangePerson): Promise<void> {
    const changed = await api.changePerson(id, what).catch(told)
    people.value = people.value.map((one) => (one.id === id ? changed : one))
  }

  async function remove(id: string): Promise<void> {
    await api.removePerson(id).catch(told)
    people.value = people.value.filter((one) => one.id !== id)
  }

  return { people, state, more, load, loadMore, change, remove }
}
