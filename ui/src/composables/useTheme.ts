// Light, dark, or as the system says. `public/theme.js` applies the choice before the first paint.
import { ref, type Ref } from 'vue'
import { recall, remember } from './storage'

export type Theme = 'system' | 'light' | 'dark'

const stored = recall('theme')
const theme = ref<Theme>(stored === 'light' || stored === 'dark' ? stored : 'system')

function choose(next: Theme): void {
  theme.value = next
  remember('theme', next === 'system' ? null : next)
  const root = document.documentElement
  if (next === 'system') delete root.dataset['theme']
  else root.dataset['theme'] = next
}

export function useTheme(): { theme: Ref<Theme>; choose(next: Theme): void } {
  return { theme, choose }
}
