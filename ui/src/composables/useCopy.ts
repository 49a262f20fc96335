// Copies text and says for a moment that it did.
import { onBeforeUnmount, ref } from 'vue'

const SHOWN_MS = 1800

export function useCopy() {
  const state = ref<'ready' | 'copied' | 'failed'>('ready')
  let timer: ReturnType<typeof setTimeout> | undefined
  onBeforeUnmount(() => clearTimeout(timer))

  async function copy(text: string): Promise<void> {
    state.value = (await write(text)) ? 'copied' : 'failed'
    clearTimeout(timer)
    timer = setTimeout(() => { state.value = 'ready' }, SHOWN_MS)
  }
  return { state, copy }
}

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return writeTheOldWay(text)
  }
}

/** The clipboard API exists on https and loopback only; a gateway in a home network may be plain http. */
function writeTheOldWay(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'visually-hidden'
  const focused = document.activeElement as HTMLElement | null
  // Behind an open dialog nothing can be selected, so the helper goes inside it.
  const home = focused?.closest('dialog') ?? document.body
  home.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  focused?.focus()
  return done
}
