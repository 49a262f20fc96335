// Accounts and invitations, for administrators. An invitation's text is held only until the page is left.
import { ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { Person, UserRole } from '../wire'
import { noteExpiry } from './useSession'

const PAGE = 50

export function usePeople() {
  const people = shallowRef<readonly Person[]>([])
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const more = ref(false)
  const invitation = ref<string | null>(null)

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

  async function change(id: string, what: { role?: UserRole; disabled?: boolean }): Promise<void> {
    const changed = await api.changePerson(id, what).catch(told)
    people.value = people.value.map((one) => (one.id === id ? changed : one))
  }

  async function remove(id: string): Promise<void> {
    await api.removePerson(id).catch(told)
    people.value = people.value.filter((one) => one.id !== id)
  }

  async function invite(role: UserRole): Promise<void> {
    invitation.value = (await api.invitePerson(role).catch(told)).text
  }

  function told(error: unknown): never {
    noteExpiry(error)
    throw error
  }

  return { people, state, more, invitation, load, loadMore, change, remove, invite }
}
