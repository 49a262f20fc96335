// Keys that work wherever one is behind the sign-in. Those of a box or a menu belong to that.
import { onBeforeUnmount, onMounted } from 'vue'
import { useRouter } from 'vue-router'
import { useOverlay, type Overlay } from './useOverlay'

export interface Shortcut { keys: string; says: 'palette' | 'newChat' | 'write' | 'send' | 'line' | 'stop' | 'help' | 'close' }

/** On a Mac the other key is meant by the same letter. */
export const isMac = () => /Mac|iPhone|iPad/.test(navigator.platform)
const mod = () => (isMac() ? '⌘' : 'Ctrl')

export function shortcuts(): Shortcut[] {
  return [
    { keys: `${mod()}+K`, says: 'palette' },
    { keys: `${mod()}+Shift+O`, says: 'newChat' },
    { keys: '/', says: 'write' },
    { keys: 'Enter', says: 'send' },
    { keys: 'Shift+Enter', says: 'line' },
    { keys: 'Esc', says: 'stop' },
    { keys: `${mod()}+/`, says: 'help' },
    { keys: 'Esc', says: 'close' },
  ]
}

const writes = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))

export function useShortcuts(): void {
  const router = useRouter()
  const { open } = useOverlay()
  const show = (overlay: Overlay) => { open.value = open.value === overlay ? null : overlay }

  const acts: Record<string, () => void> = {
    'mod+k': () => show('palette'),
    'mod+/': () => show('shortcuts'),
    'mod+shift+o': () => void router.push('/c'),
    '/': () => document.querySelector<HTMLElement>('.composer textarea')?.focus(),
  }

  function onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.altKey || event.isComposing) return
    const held = event.ctrlKey || event.metaKey
    // A single letter is for whoever writes, and a dialog keeps its keys.
    if (!held && (writes(event.target) || document.querySelector('dialog[open]'))) return
    // On many keyboards a slash is written with Shift.
    const shift = held && event.shiftKey && event.key !== '/'
    const act = acts[[held && 'mod', shift && 'shift', event.key.toLowerCase()].filter(Boolean).join('+')]
    if (!act) return
    event.preventDefault()
    act()
  }
  onMounted(() => document.addEventListener('keydown', onKey))
  onBeforeUnmount(() => document.removeEventListener('keydown', onKey))
}
