// One conversation for a page: what to show of it and what can be done with it.
import { computed, watch, type Ref } from 'vue'
import { NEW } from '../chat/chats'
import { useLive } from './useLive'
import { useParameters } from './useParameters'
import { useSwarm } from './useSwarm'

export function useChat(id: Ref<string | null>) {
  const { link, version, chats } = useLive()
  const { model, noNode } = useSwarm()
  const key = computed(() => id.value ?? NEW)

  watch(key, (now) => {
    // A conversation that was made here a moment ago is on the page already, with its turn running.
    if (now === NEW) chats().startNew()
    else if (!chats().get(now).turn) void chats().open(now)
  }, { immediate: true })

  const chat = computed(() => {
    void version.value
    return chats().get(key.value)
  })
  const { fresh, begin } = useParameters()

  function send(text: string): void {
    const wanted = model.value?.id ?? null
    if (key.value === NEW && fresh.value) void chats().askIn(begin, text, wanted)
    else chats().ask(key.value, text, wanted)
  }
  const online = computed(() => link.value.state === 'open')

  return {
    chat,
    online,
    canSend: computed(() => online.value && !noNode.value && chat.value.turn === null && isOpen(chat.value.loading)),
    send,
    edit: (question: string, text: string) => chats().ask(key.value, text, model.value?.id ?? null, question),
    regenerate: (answer: string) => chats().again(key.value, answer, model.value?.id ?? null),
    show: (message: string) => void chats().show(key.value, message),
    goOn: (answer: string) => chats().goOn(key.value, answer),
    stop: () => chats().stop(key.value),
    takeBack: () => chats().takeBack(key.value),
    reload: () => void chats().open(key.value),
  }
}

function isOpen(loading: string): boolean {
  return loading === 'new' || loading === 'ready'
}
