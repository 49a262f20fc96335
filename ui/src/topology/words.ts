// What is said on this page.
import { useTexts } from '../texts'
import { topology } from '../texts/topology'
import type { TopologyPeer } from '../wire'

export const useWords = () => useTexts(topology)

/** What a peer is called: nodes have names, the others a role and a key. */
export function nameOf(card: TopologyPeer, role: string): string {
  return card.name || `${role} …${card.peer.slice(-6)}`
}
