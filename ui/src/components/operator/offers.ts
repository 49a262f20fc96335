// What the swarm serves, model by model, made of what each node says.
import type { NodeView } from '../../wire'

export interface Place { node: string; peer: string; speed: number; drained: boolean; trouble: string }

export interface Served {
  model: string
  state: 'loaded' | 'loading' | 'loadable' | 'away'
  /** While it is being loaded. */
  permille: number
  context: number
  free: number
  slots: number
  places: Place[]
}

const rank = { loaded: 0, loading: 1, loadable: 2, away: 3 }

export function servedBy(nodes: readonly NodeView[]): Served[] {
  const models = new Map<string, Served>()
  const entry = (model: string): Served => {
    const there = models.get(model) ?? { model, state: 'away', permille: 0, context: 0, free: 0, slots: 0, places: [] }
    models.set(model, there)
    return there
  }
  for (const node of nodes) {
    const place = (speed: number, trouble: string): Place => ({ node: node.name, peer: node.peer, speed, drained: node.drained, trouble })
    for (const offer of node.offers) {
      const one = entry(offer.model)
      if (node.paused === null) one.state = 'loaded'
      one.context = Math.max(one.context, offer.context_tokens)
      one.free += offer.slots_free
      one.slots += offer.slots_total
      one.places.push(place(offer.decode_tokens_per_second, offer.trouble))
    }
    for (const loadable of node.loadable) {
      const one = entry(loadable.model)
      if (loadable.loading_permille !== null) {
        one.permille = Math.max(one.permille, loadable.loading_permille)
        if (one.state !== 'loaded') one.state = 'loading'
      } else if (one.state === 'away' && node.paused === null) {
        one.state = 'loadable'
      }
      one.places.push(place(0, loadable.trouble))
    }
  }
  return [...models.values()].sort((a, b) => rank[a.state] - rank[b.state] || a.model.localeCompare(b.model))
}
