// The name of the page in the tab.
import { watchEffect } from 'vue'

export function usePageTitle(title: () => string): void {
  watchEffect(() => {
    document.title = `${title()} · Starling`
  })
}
