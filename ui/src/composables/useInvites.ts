// Invites into the swarm. The text of a new one is held only until the page is left.
import { computed, shallowRef } from 'vue'
import { operatorApi } from '../net/operator'
import type { Invite, InviteAnswer, InviteList, NewInvite } from '../wire'
import { told, useLoaded } from './useLoaded'

export type InviteState = 'open' | 'revoked' | 'usedUp' | 'over'

/** What somebody has typed as a count; 0, which the gateway refuses with the bounds, for what is none. */
export function countOf(text: string): number {
  return /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : 0
}

/** What somebody has typed as a number of tokens, none of them as 0; -1, which the gateway refuses, for what is no number. */
export function tokensOf(text: string): number {
  const typed = text.trim()
  return /^\d{0,15}$/.test(typed) ? Number(typed) : -1
}

export function inviteState({ revoked_at, uses, max_uses, expires_at }: Invite, now: number): InviteState {
  if (revoked_at) return 'revoked'
  if (uses >= max_uses) return 'usedUp'
  return Date.parse(expires_at) <= now ? 'over' : 'open'
}

export function useInvites() {
  const { value, state, load } = useLoaded<InviteList>(operatorApi.invites, { invites: [], authority: true })
  const made = shallowRef<InviteAnswer | null>(null)

  async function make(what: NewInvite): Promise<void> {
    const answer = await operatorApi.makeInvite(what).catch(told)
    made.value = answer
    value.value = { ...value.value, invites: [answer.invite, ...value.value.invites] }
  }

  const revoke = (id: string) => operatorApi.revokeInvite(id).then(load, told)

  return { invites: computed(() => value.value.invites), authority: computed(() => value.value.authority), state, load, made, make, revoke }
}
