// What those who run the gateway have done, a page at a time, newest first.
import { onMounted, reactive, ref, shallowRef } from 'vue'
import { operatorApi, type AuditFilter } from '../net/operator'
import type { AuditEntry } from '../wire'
import type { LoadState } from './useLoaded'
import { noteExpiry } from './useSession'

const PAGE = 50

export function useAudit() {
  const entries = shallowRef<readonly AuditEntry[]>([])
  const state = ref<LoadState>('loading')
  const more = ref(false)
  const filter = reactive<AuditFilter>({ action: '', actor: '' })
  let latest = 0

  async function read(before: readonly AuditEntry[]): Promise<void> {
    const mine = (latest += 1)
    try {
      const wanted = { action: filter.action, actor: filter.actor.trim() }
      const page = await operatorApi.audit(PAGE, before.at(-1)?.id ?? null, wanted)
      // Another filter was chosen meanwhile.
      if (mine !== latest) return
      entries.value = [...before, ...page]
      more.value = page.length === PAGE
      state.value = 'ready'
    } catch (error) {
      if (mine !== latest) return
      noteExpiry(error)
      state.value = 'failed'
    }
  }

  const load = () => read([])
  onMounted(load)

  return { entries, state, more, filter, load, loadMore: () => read(entries.value) }
}
