// How the gateway has done lately, read anew about as often as something is added.
import { computed, ref, watch } from 'vue'
import { operatorApi } from '../net/operator'
import type { FigureList, FigureSample, FigureSpan } from '../wire'
import { useLoaded } from './useLoaded'

const EVERY_MS = 10_000
/** What fills the width of a chart. */
export const KEPT: Record<FigureSpan, number> = { hour: 360, day: 288 }

export function relayedPercent({ begun, relayed }: FigureSample): number | null {
  return begun === 0 ? null : (100 * relayed) / begun
}

export function useFigures() {
  const span = ref<FigureSpan>('hour')
  const { value, state, stale, load } = useLoaded<FigureList | null>(() => operatorApi.figures(span.value), null, EVERY_MS)
  const samples = computed<readonly FigureSample[]>(() => value.value?.samples ?? [])
  const times = computed(() => samples.value.map((one) => one.at))
  const of = (figure: (one: FigureSample) => number | null) => computed(() => samples.value.map(figure))
  watch(span, load)

  return {
    span, state, stale, load, samples, times,
    since: computed(() => value.value?.since ?? null),
    /** The span that is on the page: another one while the next is on its way. */
    kept: computed(() => KEPT[value.value?.span ?? span.value]),
    last: computed(() => samples.value.at(-1) ?? null),
    tokens: of((one) => one.tokens_per_second),
    running: of((one) => one.running),
    waiting: of((one) => one.waiting),
    p50: of((one) => one.first_token_p50_ms),
    p95: of((one) => one.first_token_p95_ms),
    relayed: of(relayedPercent),
    errors: of((one) => one.errors),
  }
}
