// What is there to answer: the count from the socket at once, the details from the API when it changes.
import { computed, ref, shallowRef } from 'vue'
import { api } from '../net/api'
import type { ModelView, NodeView, SwarmSummary } from '../wire'
import { recall, remember } from './storage'
import { noteExpiry } from './useSession'

/** Null until the gateway has said it: "not known yet" is not "none". */
const summary = shallowRef<SwarmSummary | null>(null)
const models = shallowRef<readonly ModelView[]>([])
const nodes = shallowRef<readonly NodeView[]>([])
const chosen = ref(recall('model'))

/** The model that a question goes to: the chosen one while it is there, else the first that is loaded. */
const model = computed(() => {
  const there = models.value.filter((m) => m.state !== 'away')
  return there.find((m) => m.id === chosen.value) ?? there.find((m) => m.state === 'loaded') ?? there[0] ?? models.value[0] ?? null
})

const noNode = computed(() => summary.value !== null && summary.value.nodes === 0)

function saw(next: SwarmSummary): void {
  summary.value = next
  void loadModels()
}

async function loadModels(): Promise<void> {
  try {
    models.value = await api.models()
  } catch (error) {
    noteExpiry(error)
  }
}

async function loadNodes(): Promise<void> {
  try {
    nodes.value = (await api.swarm()).nodes
  } catch (error) {
    noteExpiry(error)
  }
}

function choose(id: string): void {
  chosen.value = id
  remember('model', id)
}

function isDemo(id: string): boolean {
  return models.value.some((m) => m.id === id && m.demo)
}

function clear(): void {
  summary.value = null
  models.value = []
  nodes.value = []
}

export function useSwarm() {
  return { summary, models, nodes, model, noNode, saw, loadModels, loadNodes, choose, isDemo, clear }
}
