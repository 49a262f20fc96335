// Invitations to make an account. The text of a new one is held only until the page is left.
import { ref } from 'vue'
import { operatorApi } from '../net/operator'
import type { Invitation, NewInvitation } from '../wire'
import { told, useLoaded } from './useLoaded'

export function useInvitations() {
  const { value: invitations, state, load } = useLoaded<readonly Invitation[]>(operatorApi.invitations, [])
  const text = ref<string | null>(null)

  async function make(what: NewInvitation): Promise<void> {
    const made = await operatorApi.makeInvitation(what).catch(told)
    text.value = made.text
    invitations.value = [made.invitation, ...invitations.value]
  }

  async function withdraw(id: string): Promise<void> {
    await operatorApi.withdraw(id).catch(told)
    invitations.value = invitations.value.filter((one) => one.id !== id)
  }

  return { invitations, state, load, text, make, withdraw }
}
