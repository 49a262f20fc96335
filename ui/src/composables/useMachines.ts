// Everybody who belongs to the swarm and everybody in sight as one list, for the operator.
import { computed, ref } from 'vue'
import { api } from '../net/api'
import { operatorApi } from '../net/operator'
import type { Member, MemberList, NodeView } from '../wire'
import { told, useLoaded } from './useLoaded'

const EVERY_MS = 5_000
/** Rows on the page at one time. */
const PAGE = 50

export type MachineState = 'here' | 'paused' | 'drained' | 'away' | 'out' | 'gateway'

export interface Machine {
  peer: string
  name: string
  state: MachineState
  member: Member | null
  node: NodeView | null
}

function stateOf(member: Member | null, node: NodeView | null): MachineState {
  if (member?.revoked_at) return 'out'
  if (member?.role === 'gateway') return 'gateway'
  if (node) return node.drained ? 'drained' : node.paused ? 'paused' : 'here'
  return 'away'
}

/** Those in sight first, then by name. */
export function machinesOf(members: readonly Member[], nodes: readonly NodeView[]): Machine[] {
  const seen = new Map(nodes.map((node) => [node.peer, node]))
  const machine = (member: Member | null, node: NodeView | null): Machine => ({
    peer: (node ?? member)?.peer ?? '', name: node?.name || member?.name || '', state: stateOf(member, node), member, node,
  })
  const all = members.map((member) => machine(member, seen.get(member.peer) ?? null))
  const known = new Set(members.map((member) => member.peer))
  all.push(...nodes.filter((node) => !known.has(node.peer)).map((node) => machine(null, node)))
  const order: MachineState[] = ['here', 'paused', 'drained', 'gateway', 'away', 'out']
  return all.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name))
}

/** Whether each of the words stands somewhere in what is known of it. */
export function matches({ peer, name, node }: Machine, words: string): boolean {
  const facts = [peer, name, node?.device, node?.version, node?.network.nat, ...(node?.models ?? []), ...(node?.gpus ?? []).map((gpu) => gpu.name)]
  const text = facts.join(' ').toLowerCase()
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word))
}

export function useMachines() {
  const empty: MemberList = { swarm: '', members: [], refused: [] }
  const { value, state, stale, load } = useLoaded(
    () => Promise.all([operatorApi.members(), api.swarm()]).then(([list, swarm]) => ({ list, nodes: swarm.nodes })),
    { list: empty, nodes: [] as NodeView[] },
    EVERY_MS,
  )
  const words = ref('')
  const only = ref<MachineState | 'all'>('all')
  const room = ref(PAGE)
  const machines = computed(() => machinesOf(value.value.list.members, value.value.nodes))
  const found = computed(() => machines.value.filter((one) => (only.value === 'all' || one.state === only.value) && matches(one, words.value)))

  const drain = (peer: string, drained: boolean) => operatorApi.drain(peer, drained).then(load, told)
  const turnOut = (peer: string) => operatorApi.turnOut(peer).then(load, told)

  return {
    machines, found, state, stale, load, words, only, drain, turnOut,
    shown: computed(() => found.value.slice(0, room.value)),
    refused: computed(() => value.value.list.refused.filter((one) => one.count > 0)),
    more: () => { room.value += PAGE },
  }
}
