// A menu button as the ARIA practices describe it: arrows move, Esc closes and gives the focus back.
import { nextTick, onBeforeUnmount, ref, watch, type Ref } from 'vue'

export function useMenu(root: Ref<HTMLElement | null>) {
  const open = ref(false)
  const button = () => root.value?.querySelector<HTMLElement>('[aria-haspopup]') ?? null
  const items = () => [...(root.value?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])]

  function focusItem(at: number): void {
    const all = items()
    all[(at + all.length) % all.length]?.focus()
  }

  function close(refocus: boolean): void {
    open.value = false
    if (refocus) button()?.focus()
  }

  async function toggle(): Promise<void> {
    open.value = !open.value
    if (!open.value) return
    await nextTick()
    const chosen = items().findIndex((item) => item.getAttribute('aria-checked') === 'true')
    focusItem(Math.max(chosen, 0))
  }

  function onKey(event: KeyboardEvent): void {
    if (!open.value) return
    const now = items().indexOf(document.activeElement as HTMLElement)
    const moves: Record<string, () => void> = {
      ArrowDown: () => focusItem(now + 1),
      ArrowUp: () => focusItem(now - 1),
      Home: () => focusItem(0),
      End: () => focusItem(-1),
      Escape: () => close(true),
    }
    const move = moves[event.key]
    if (event.key === 'Tab') close(false)
    if (!move) return
    event.preventDefault()
    event.stopPropagation()
    move()
  }

  const outside = (event: PointerEvent) => {
    if (!root.value?.contains(event.target as Node)) close(false)
  }
  watch(open, (now) => {
    if (now) document.addEventListener('pointerdown', outside)
    else document.removeEventListener('pointerdown', outside)
  })
  onBeforeUnmount(() => document.removeEventListener('pointerdown', outside))

  return { open, toggle, close, onKey }
}
