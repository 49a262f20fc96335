// Bringing a node in: an invite is made, and then the page waits for whoever comes with it.
import { computed, onBeforeUnmount, ref, shallowRef } from 'vue'
import { operatorApi } from '../net/operator'
import type { InviteAnswer, MyNode, NewInvite } from '../wire'
import { told } from './useLoaded'
import { noteExpiry } from './useSession'

const EVERY_MS = 2_000

export function useAddNode(now: () => number = Date.now) {
  const adding = shallowRef<InviteAnswer | null>(null)
  const nodes = shallowRef<readonly MyNode[]>([])
  const lost = ref(false)
  const over = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  async function make(what: NewInvite): Promise<void> {
    const made = await operatorApi.makeInvite(what).catch(told)
    stop()
    nodes.value = []
    over.value = false
    adding.value = made
    void look()
  }

  /** Goes on until the page is left: what has joined says more as soon as it serves. */
  async function look(): Promise<void> {
    const mine = adding.value
    if (!mine) return
    try {
      const all = await operatorApi.myNodes()
      if (mine !== adding.value) return
      nodes.value = all.filter((node) => node.invite === mine.invite.id)
      lost.value = false
    } catch (error) {
      if (mine !== adding.value) return
      noteExpiry(error)
      lost.value = true
    }
    over.value = Date.parse(mine.invite.expires_at) <= now() || nodes.value.length >= mine.invite.max_uses
    timer = setTimeout(() => void look(), EVERY_MS)
  }

  function stop(): void {
    clearTimeout(timer)
    adding.value = null
  }

  onBeforeUnmount(stop)

  return {
    adding, nodes, lost, over, make, again: stop,
    left: computed(() => (adding.value ? Math.max(adding.value.invite.max_uses - nodes.value.length, 0) : 0)),
  }
}
