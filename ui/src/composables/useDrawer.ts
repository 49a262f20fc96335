// Whether the list lies over the page on a narrow screen.
import { ref } from 'vue'

const open = ref(false)

export function useDrawer() {
  return { open }
}
