// The page on which one watches the swarm.
import type { Nat, PeerLink, PeerRole, TopologyTotals, TopologyWhat } from '../../wire'
import { plural } from '../common/en'
import { whole } from '../formats'

const number = (answer: number | undefined) => `Answer ${answer ?? ''}`.trim()

export interface Told { reason: string; peer: string; from: string; answer: number | undefined; tokens: number | undefined }

export const topology = {
  title: 'The swarm',
  views: 'How it is shown',
  picture: 'Picture',
  list: 'List',
  loading: 'Looking for the swarm…',
  offline: 'The line to the gateway is down. What you see is how it was last.',
  nobody: 'No node is here at the moment.',
  more: (shown: number, all: number) => `${shown} of ${all} nodes are shown.`,
  totals: ({ nodes, running, waiting }: TopologyTotals, tokens: number) =>
    [plural(nodes, 'node'), `${plural(running, 'answer')} running`, waiting > 0 ? `${waiting} in line` : '', `${whole(tokens)} tokens/s`].filter(Boolean).join(' · '),
  canvas: (nodes: number, relayed: number, busy: number) =>
    `The swarm as a picture: ${plural(nodes, 'node')} around the gateway, ${relayed} of them reached through a relay, ${busy} at work. The list has the same facts. Arrow keys go from node to node.`,
  closer: 'Closer',
  farther: 'Farther',
  whole: 'Show all of it',
  gateway: 'this gateway',
  otherGateway: 'gateway',
  bootstrap: 'bootstrap',
  role: (role: PeerRole): string => ({ node: 'node', gateway: 'gateway', bootstrap: 'bootstrap peer' })[role],
  nat: (nat: Nat): string =>
    ({ open: 'No NAT', full_cone: 'Full-cone NAT', cone: 'Cone NAT', symmetric: 'Symmetric NAT', unknown: 'NAT not known' })[nat],
  link: (link: PeerLink): string => ({ direct: 'direct', relayed: 'relayed', none: 'not connected' })[link],
  legend: 'What is what',
  legendDirect: 'direct connection',
  legendRelayed: 'through a relay',
  legendLoad: 'how full a node is',
  legendTokens: 'tokens on their way',
  legendMoved: 'an answer moves over',
  legendTrouble: 'warned, drained or paused',
  timeline: 'The last ten minutes',
  live: 'Live',
  goLive: 'Go to the present',
  play: 'Play',
  pause: 'Pause',
  speed: (factor: number) => `${factor}×`,
  speedLabel: 'Speed',
  ago: (seconds: number): string => {
    const past = Math.max(0, Math.round(seconds))
    if (past < 2) return 'now'
    if (past < 60) return `${past} s ago`
    return `${Math.floor(past / 60)} min ${past % 60} s ago`
  },
  events: 'What happened',
  allEvents: 'every answer that begins and ends',
  noEvents: 'Nothing yet. Nodes that come and go, and answers that move from one to another, are written down here.',
  event: (what: TopologyWhat, { peer, from, answer, tokens, reason }: Told): string => ({
    joined: `${peer} is here`,
    left: `${peer} is gone`,
    direct: `${peer} is reached directly now`,
    relayed: `${peer} is reached through a relay now`,
    lost: `The connection to ${peer} is lost`,
    drained: `${peer} is given no more`,
    undrained: `${peer} is given work again`,
    paused: `${peer} pauses: ${reason}`,
    back: `${peer} is back from its pause`,
    models: `${peer} serves other models`,
    waits: `${number(answer)} waits for a free slot`,
    loads: `${peer} loads the model for answer ${answer ?? ''}`,
    began: `${number(answer)} begins on ${peer}`,
    moved: `${number(answer)} moves over ${from ? `from ${from} ` : ''}to ${peer}`,
    ended: `${number(answer)} is over${peer ? ` on ${peer}` : ''}, ${plural(tokens ?? 0, 'token')}`,
    failed: `${number(answer)} broke off${peer ? ` on ${peer}` : ''} after ${plural(tokens ?? 0, 'token')}`,
  })[what],
  somebody: 'a node that has left',
  close: 'Close',
  then: 'At the moment that is shown',
  now: 'Right now',
  gone: 'It is not here any more.',
  notHere: 'It was not here at that moment.',
  columns: { name: 'Name', nat: 'NAT', gpu: 'Computes with', link: 'Link', rtt: 'Round trip', load: 'Slots taken', tokens: 'Tokens/s', models: 'Models', version: 'Version' },
  load: (used: number, all: number) => `${used} of ${all}`,
  find: 'Find a node, a model, a GPU…',
  table: 'All peers',
  rows: (count: number) => plural(count, 'peer'),
  showAll: (count: number) => `Show all ${count}`,
  sorted: (column: string, up: boolean) => `Sorted by ${column}, ${up ? 'ascending' : 'descending'}`,
  drained: 'drained',
  warned: 'warning',
  facts: { role: 'Is a', paused: 'Paused', link: 'Link', rtt: 'Round trip', load: 'Slots taken', tokens: 'Tokens/s', nat: 'NAT', gpu: 'Computes with', models: 'Models', version: 'Version', key: 'Key' },
  recent: 'Its last events',
}
