// Which of the page's own dialogs lies above it: at most one, and a key can open each.
import { ref } from 'vue'

export type Overlay = 'palette' | 'shortcuts' | 'parameters'

const open = ref<Overlay | null>(null)

export function useOverlay() {
  return { open }
}
