// Whether the screen is too narrow for two columns. The same width stands in shell.css.
import { onBeforeUnmount, ref, type Ref } from 'vue'

export function useNarrow(): Ref<boolean> {
  const query = matchMedia('(max-width: 800px)')
  const narrow = ref(query.matches)
  const update = () => { narrow.value = query.matches }
  query.addEventListener('change', update)
  onBeforeUnmount(() => query.removeEventListener('change', update))
  return narrow
}
