// The name of the page in the tab.
import { watchEffect, type Ref } from 'vue'

export function usePageTitle(title: Ref<string> | string): void {
  watchEffect(() => {
    document.title = `${typeof title === 'string' ? title : title.value} · Starling`
  })
}
