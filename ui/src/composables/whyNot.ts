// The line under the box: why nothing can be sent just now, and nothing at all when it can.
import { computed, type ComputedRef, type Ref } from 'vue'
import type { Chat } from '../chat/state'
import { useLive } from './useLive'
import { useSwarm } from './useSwarm'

export function whyNot(chat: Ref<Chat>): ComputedRef<string> {
  const { link } = useLive()
  const { noNode } = useSwarm()
  return computed(() => {
    if (chat.value.turn) return ''
    if (link.value.state === 'waiting') return 'Not connected. You can go on writing; sending works again in a moment.'
    if (noNode.value) return 'No node is here to answer. You can write already; sending works when one has joined.'
    return ''
  })
}
