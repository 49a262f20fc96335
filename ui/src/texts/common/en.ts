// What every page says: buttons, the doors, the frame, the swarm's facts, and what went wrong.
import type { GpuView, LoadableView, MemoryView, Nat, NetworkView, Path, PauseReason } from '../../wire'
import { decimal, gigabytes, percent, rate, whole } from '../formats'

export const plural = (count: number, one: string, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`

/** By the gateway's stable codes. */
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
  insufficient_quota: 'The tokens of this month are used up',
  account_closed: 'This account was closed',
  busy: 'The gateway is busy',
  stopping: 'The gateway is being restarted',
  unreachable: 'The gateway cannot be reached',
  storage_full: 'The gateway’s disk is full',
}

/** In place of the gateway's own words, which are English; only what needs other words than those. */
const reasons: Record<string, string> = {}

const natWords: Record<Nat, string | null> = {
  unknown: null,
  open: 'open to all',
  full_cone: 'router, open to all',
  cone: 'router, one port for all',
  symmetric: 'router, a port for each peer',
}

export const common = {
  copy: { ready: 'Copy', copied: 'Copied', failed: 'Not allowed' },
  keepIt: 'Keep it',
  cancel: 'Cancel',
  close: 'Close',
  save: 'Save',
  saving: 'Saving…',
  change: 'Change',
  remove: 'Delete',
  tryAgain: 'Try again',
  showMore: 'Show more',
  showPassword: 'Show password',
  titles: titles as Readonly<Record<string, string>>,
  otherTitle: 'That did not work',
  /** The way to the gateway said this, and not the gateway. */
  status: (code: string) => `The gateway answered with status ${code}.`,
  reasons: reasons as Readonly<Record<string, string>>,

  door: {
    lead: 'To chat with models that run on people’s own machines.',
    name: 'Name',
    nameHint: '3 to 32 of a–z, 0–9, dot, dash and underscore.',
    password: 'Password',
    passwordHint: 'At least 8 characters. A few unrelated words are good.',
    fromLink: 'Taken from the link you opened.',
    making: 'Making the account…',
    make: 'Make the account',
    setupTitle: 'First start',
    setupHead: 'Welcome to your swarm',
    setupLead: 'Make the first account. It is the administrator’s.',
    code: 'One-time code',
    codeHint: 'The gateway printed it where it was started, after the word setup-code.',
    signIn: 'Sign in',
    signingIn: 'Signing in…',
    ended: 'Your session has ended. Sign in and you are back where you were.',
    makeOne: 'Make an account',
    invited: 'I have an invitation',
    invitation: 'Invitation',
    invitationHint: 'An administrator of this gateway gives you one.',
    haveOne: 'I have an account already',
    awayTitle: 'Not reachable',
    away: 'The gateway does not answer',
    awayLead: 'It may be starting, or the connection to it is gone. Nothing is lost.',
    trying: 'Trying…',
  },
  missing: { title: 'Not found', head: 'There is no such page', lead: 'The address may be old or mistyped.', back: 'Go to the chat' },

  side: {
    home: 'Starling, new chat',
    label: 'Conversations and account',
    list: 'Conversations',
    open: 'Open the list',
    close: 'Close the list',
    newChat: 'New chat',
    account: (name: string) => `Account: ${name}`,
    characters: 'Characters',
    memory: 'Memory',
    keys: 'API keys',
    accountPage: 'Account',
    myNodes: 'My nodes',
    operator: 'Operator',
    shortcuts: 'Keyboard shortcuts',
    signOut: 'Sign out',
    appearance: 'Appearance',
    themes: { system: 'As the system', light: 'Light', dark: 'Dark' },
    language: 'Language',
    browser: 'As the browser',
  },

  pause: {
    tag: 'paused',
    reason: (reason: PauseReason): string => ({
      other: 'its owner needs it', by_hand: 'its owner said so', full_screen: 'a full-screen program runs', process: 'a program of its owner runs',
      battery: 'it runs on its battery', temperature: 'its graphics card is too warm', gpu: 'others use its graphics card', schedule: 'it is not one of its hours',
    })[reason] ?? 'its owner needs it',
    line: (why: string, back: string) => `Paused: ${why}${back}`,
    returning: ', and it loads its models again',
    back: (seconds: number) => `, back in ${seconds < 120 ? `${whole(seconds)} s` : seconds < 7_200 ? `${whole(Math.round(seconds / 60))} min` : `${whole(Math.round(seconds / 3_600))} h`}`,
  },
  swarm: {
    connecting: 'Connecting…',
    noNode: 'No node here',
    counts: (nodes: number, models: number) => `${plural(nodes, 'node')} · ${plural(models, 'model')}`,
    addNode: 'Add a node',
    noModel: 'no model loaded',
    onDemand: (models: string) => `On demand: ${models}`,
    device: 'Device',
    freeSlots: 'Free slots',
    of: (part: number, all: number) => `${whole(part)} of ${whole(all)}`,
    speed: 'Speed',
    memory: 'Memory',
    engine: 'Engine',
    restarted: (times: number) => `started again ${plural(times, 'time')}`,
    network: 'Network',
    version: 'Version',
    tokensPerSecond: (value: number) => `${rate(value)} tokens/s`,
    tokens: (count: number) => plural(count, 'token'),
    path: (path: Path): string => (path === 'direct' ? 'direct' : 'relayed'),
    pathMeaning: (path: Path): string => (path === 'direct'
      ? 'The gateway speaks with this node over a connection of its own.'
      : 'The node could not be reached directly, so another peer passes the encrypted answer on.'),
    /** What stands between a node and the others, in a few words; null while that is not known. */
    nat: ({ nat, udp }: NetworkView) => [natWords[nat], udp === false ? 'UDP blocked' : null].filter(Boolean).join(', ') || null,
    /** Used and all, as in "3.1 of 12.0 GB". */
    memoryOf: ({ used, total }: MemoryView) => `${gigabytes(used)} of ${gigabytes(total)} GB`,
    /** What a GPU says of itself; what it does not say is left out. */
    gpu: (gpu: GpuView) => [
      gpu.memory.total > 0 ? `${gigabytes(gpu.memory.used)} of ${gigabytes(gpu.memory.total)} GB` : null,
      gpu.utilization_percent === null ? null : percent(gpu.utilization_percent / 100),
      gpu.temperature_celsius === null ? null : `${gpu.temperature_celsius} °C`,
      gpu.power_watts === null ? null : `${gpu.power_watts} W`,
    ].filter((fact) => fact !== null).join(' · ') || 'no figures',
    /** A model that a node would load. */
    loadable: ({ model, bytes, trouble, loading_permille }: LoadableView) => (loading_permille !== null
      ? `${model} (loading, ${percent(loading_permille / 1000)})`
      : `${model} (${decimal(bytes / 1e9)} GB${trouble ? ', could not be loaded' : ''})`),
  },

  /** How a machine joins. The names in capitals stand in the command, which is the same in every language. */
  addNode: {
    lead: 'Bring a computer into the swarm, best one with a graphics card. It connects outwards by itself: no port has to be opened.',
    open: 'Add a node',
    ask: 'Whoever runs this gateway can give you an invite. With it you run this on the new machine:',
    what: 'command',
  },
}
