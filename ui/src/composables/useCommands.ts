// What the palette offers: pages, appearances, languages, models and conversations. Words find what has all of them.
import { computed, type Ref } from 'vue'
import { useRouter } from 'vue-router'
import type { IconName } from '../components/kit/icons'
import { useTexts } from '../texts'
import { chat } from '../texts/chat'
import { common } from '../texts/common'
import { languageNames, useLanguage } from '../texts/language'
import { useConversations } from './useConversations'
import { useOverlay } from './useOverlay'
import { useSession } from './useSession'
import { useSwarm } from './useSwarm'
import { useTheme, type Theme } from './useTheme'

export interface Command { id: string; name: string; icon: IconName; group: 'commands' | 'conversations'; act: () => unknown }

/** More would be no help in choosing. */
const MOST_CONVERSATIONS = 20
const themeIcons: Record<Theme, IconName> = { system: 'system', light: 'sun', dark: 'moon' }

export function useCommands(words: Ref<string>) {
  const t = useTexts(chat)
  const c = useTexts(common)
  const router = useRouter()
  const { list } = useConversations()
  const { open } = useOverlay()
  const { user } = useSession()
  const { models, choose } = useSwarm()
  const { choose: look } = useTheme()
  const { choose: speak } = useLanguage()

  const command = (id: string, name: string, icon: IconName, act: () => unknown): Command => ({ id, name, icon, group: 'commands', act })
  const page = (path: string, name: string, icon: IconName) => command(path, name, icon, () => void router.push(path))

  /** They lie over the chat that they are of. */
  async function showParameters(): Promise<void> {
    if (!/^\/c(\/|$)/.test(router.currentRoute.value.path)) await router.push('/c')
    open.value = 'parameters'
  }

  const commands = computed<Command[]>(() => [
    page('/c', t.value.palette.newChat, 'plus'),
    page('/characters', c.value.side.characters, 'person'),
    page('/memory', c.value.side.memory, 'memory'),
    page('/keys', c.value.side.keys, 'key'),
    page('/account', c.value.side.accountPage, 'person'),
    ...(user.value?.role !== 'user' ? [page('/my-nodes', c.value.side.myNodes, 'nodes'), page('/add-node', c.value.swarm.addNode, 'plus')] : []),
    ...(user.value?.role === 'admin' ? [page('/operator', c.value.side.operator, 'system')] : []),
    command('parameters', t.value.palette.parameters, 'sliders', showParameters),
    command('shortcuts', t.value.palette.shortcuts, 'command', () => { open.value = 'shortcuts' }),
    ...models.value.map(({ id }) => command(`model ${id}`, t.value.palette.model(id), 'nodes', () => choose(id))),
    ...(['system', 'light', 'dark'] as const).map((id) =>
      command(`theme ${id}`, `${c.value.side.appearance}: ${c.value.side.themes[id]}`, themeIcons[id], () => look(id))),
    ...(['en', 'de'] as const).map((id) =>
      command(`language ${id}`, `${c.value.side.language}: ${languageNames[id]}`, 'language', () => speak(id))),
  ])
  const conversations = computed<Command[]>(() => list.value.map(({ id, title }) => ({
    id, name: title || t.value.untitled, icon: 'chat', group: 'conversations', act: () => void router.push(`/c/${id}`),
  })))

  return computed(() => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean)
    const fits = ({ name }: Command) => wanted.every((word) => name.toLowerCase().includes(word))
    return [...commands.value.filter(fits), ...conversations.value.filter(fits).slice(0, MOST_CONVERSATIONS)]
  })
}
