// The line under the box: why nothing can be sent just now, and nothing at all when it can.
import { computed, type ComputedRef, type Ref } from 'vue'
import type { Chat } from '../chat/state'
import { useTexts } from '../texts'
import { chat as chatTexts } from '../texts/chat'
import { useLive } from './useLive'
import { useSwarm } from './useSwarm'

export function whyNot(chat: Ref<Chat>): ComputedRef<string> {
  const { link } = useLive()
  const { noNode } = useSwarm()
  const t = useTexts(chatTexts)
  return computed(() => {
    if (chat.value.turn) return ''
    if (link.value.state === 'waiting') return t.value.composer.whyAway
    if (noNode.value) return t.value.composer.whyNoNode
    return ''
  })
}
