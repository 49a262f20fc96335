// Sentences the page says about what happened, by the gateway's stable codes. What is not here is said
// in the gateway's own words.
import { shortDate } from './dates'
import type {
  Answer, ErrorBody, GpuView, LoadableView, Memory, MemoryStanding, MemoryView, ModelView, Nat, NetworkView, Path, UserRole,
} from './wire'

const titles: Record<string, string> = {
  no_node: 'No node is here to answer',
  all_busy: 'All nodes are busy',
  node_lost: 'The node went away in the middle of its answer',
  no_such_message: 'This message has changed meanwhile',
  too_many_versions: 'This message has enough versions',
  conversation_full: 'This conversation is full',
  turn_running: 'An answer is already running in this conversation',
  prompt_too_long: 'That is more text than the model can read',
  not_loaded: 'The model could not be loaded',
  model_not_found: 'That model is not in the swarm any more',
  not_connected: 'Not sent',
  connection_lost: 'Not confirmed',
  node_failed: 'The node could not go on',
  request_crashed_engines: 'Two nodes failed over this question',
  interrupted: 'This answer was interrupted',
  model_not_here: 'The model of this answer is not here right now',
  cannot_go_on: 'This answer cannot go on',
  too_many_turns: 'Enough answers are running already',
  busy: 'The gateway is busy',
  stopping: 'The gateway is being restarted',
  unreachable: 'The gateway cannot be reached',
}

export function errorTitle(error: ErrorBody): string {
  return titles[error.code] ?? 'That did not work'
}

/** The gateway writes in the middle of a line, as programs do; on a page it is a sentence. */
export function sentence(words: string): string {
  const text = words.trim()
  if (text === '') return ''
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`
}

/** What a question in line is told. A guess is a guess: minutes from one and a half on, and no more than "soon" below. */
export function waitingText(line: { position: number; seconds: number } | null): string {
  if (!line) return 'All nodes are busy. Your question is in line and starts as soon as one is free.'
  const place = line.position === 1 ? 'Your question is next' : `Your question is number ${line.position} in line`
  if (line.seconds < 3) return `All nodes are busy. ${place} and starts in a moment.`
  const time = line.seconds < 90 ? `${line.seconds} seconds` : `${Math.round(line.seconds / 60)} minutes`
  return `All nodes are busy. ${place} and starts in about ${time}.`
}

/** What is told while a node loads the model. */
export function loadingText({ node, model, permille }: { node: string; model: string; permille: number }): string {
  return `Loading ${model} on ${node}… ${percent(permille)}`
}

/** A model in the list of those that may be asked. */
export function modelFacts(model: ModelView): string {
  const reads = `reads ${model.context_tokens.toLocaleString()} tokens`
  if (model.state === 'loading') return `being loaded, ${percent(model.loading_permille ?? 0)} · ${reads}`
  if (model.state === 'loadable') return `not loaded: the first question waits for that · ${reads}`
  return `${plural(model.nodes, 'node')} · ${model.slots_free} of ${model.slots_total} free · ${reads}`
}

/** A model that a node would load. */
export function loadableFacts(model: LoadableView): string {
  if (model.loading_permille !== null) return `${model.model} (loading, ${percent(model.loading_permille)})`
  return `${model.model} (${(model.bytes / 1e9).toFixed(1)} GB${model.trouble ? ', could not be loaded' : ''})`
}

function percent(permille: number): string {
  return `${Math.floor(permille / 10)} %`
}

export function pathWord(path: Path): string {
  return path === 'direct' ? 'direct' : 'relayed'
}

export function pathMeaning(path: Path): string {
  return path === 'direct'
    ? 'The gateway speaks with this node over a connection of its own.'
    : 'The node could not be reached directly, so another peer passes the encrypted answer on.'
}

/** What stands between a node and the others, in a few words; null while that is not known. */
export function natWord({ nat, udp }: NetworkView): string | null {
  const words: Record<Nat, string | null> = {
    unknown: null,
    open: 'open to all',
    full_cone: 'router, open to all',
    cone: 'router, one port for all',
    symmetric: 'router, a port for each peer',
  }
  const blocked = udp === false ? 'UDP blocked' : null
  return [words[nat], blocked].filter(Boolean).join(', ') || null
}

/** An answer that another node went on with, in as few words as a mark has room for. */
export function wentOn(nodes: readonly string[]): string {
  return nodes.length === 2 ? `went on on ${nodes[1]}` : `went on ${nodes.length - 1} times`
}

export function wentOnStory(nodes: readonly string[]): string {
  const [first, ...others] = nodes
  return `${first} began this answer. ${others.join(', then ')} went on with it from where it stood.`
}

/** An answer that was given with memories. */
export function remembered(count: number): string {
  return `remembered ${count}`
}

/** Where a memory is from, and in a search how near it is. */
export function memoryFacts(memory: Memory): string {
  const from = memory.kind === 'fact' ? `a fact, ${shortDate(memory.updated_at)}` : `said ${shortDate(memory.created_at)}, in`
  return memory.similarity === null ? from : `${Math.round(memory.similarity * 100)} % alike · ${from}`
}

/** What no model has read yet; empty when nothing waits. */
export function memoryWaits({ waiting, model }: MemoryStanding): string {
  if (waiting === 0) return ''
  return model ? `${waiting} being read` : `${waiting} wait for a node that makes vectors; until then they are not found`
}

/** Why an answer is shorter than it might be; null when it is simply complete. */
export function endingOf(answer: Answer | null): string | null {
  if (answer?.finish_reason === 'cancelled') return 'You stopped this answer.'
  if (answer?.finish_reason === 'length') return 'The answer reached the length limit.'
  return null
}

export function milliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

/** Used and all, as in "3.1 of 12.0 GB". */
export function memory({ used, total }: MemoryView): string {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)
  return `${gigabytes(used)} of ${gigabytes(total)} GB`
}

/** What a GPU says of itself; what it does not say is left out. */
export function gpuFacts(gpu: GpuView): string {
  const facts = [
    gpu.memory.total > 0 ? memory(gpu.memory) : null,
    gpu.utilization_percent === null ? null : `${gpu.utilization_percent} %`,
    gpu.temperature_celsius === null ? null : `${gpu.temperature_celsius} °C`,
    gpu.power_watts === null ? null : `${gpu.power_watts} W`,
  ]
  return facts.filter((fact) => fact !== null).join(' · ') || 'no figures'
}

export function speed(tokensPerSecond: number): string {
  return `${tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : Math.round(tokensPerSecond)} tokens/s`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

export const roles: readonly UserRole[] = ['user', 'worker', 'admin']

/** What a person may do, in a word. */
export function roleName(role: UserRole): string {
  return { user: 'user', worker: 'worker, with nodes', admin: 'administrator' }[role]
}
