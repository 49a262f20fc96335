// The chat: the list, the thread, what is told of an answer, and the box to write in.
import type { Answer, ModelView } from '../../wire'
import { plural } from '../common/en'
import { percent, rate, whole } from '../formats'

const reads = (model: ModelView) => `reads ${whole(model.context_tokens)} tokens`

export const chat = {
  newTitle: 'New chat',
  untitled: 'Untitled',
  opening: 'Opening…',
  latest: 'Latest',
  with: 'with',

  list: {
    groups: { found: 'Found', pinned: 'Pinned', today: 'Today', yesterday: 'Yesterday', week: 'This week', month: 'This month', earlier: 'Earlier' },
    found: (count: number) => `Found: ${whole(count)}`,
    searchFailed: 'The search did not work. Try it again in a moment.',
    failed: 'The conversations could not be loaded.',
    none: 'What you ask will be kept here.',
    nothing: 'Nothing was found.',
    more: 'Show earlier ones',
    search: 'Search',
    searchLabel: 'Search conversations',
    import: 'Import a conversation',
    noFile: 'This file is no conversation: choose a JSON file that was exported here.',
    removeTitle: 'Delete this conversation?',
    removeText: (title: string) => `“${title}” and all its messages will be gone for good.`,
    actions: (title: string) => `Actions for ${title}`,
    newName: 'New title',
    pin: 'Pin',
    unpin: 'Unpin',
    rename: 'Rename',
    saveMarkdown: 'Save as Markdown',
    saveJson: 'Save as JSON',
    remove: 'Delete',
    notSaved: 'That could not be saved. Try it again in a moment.',
  },

  composer: {
    label: 'Your message',
    placeholder: 'Ask the swarm',
    send: 'Send',
    sendTitle: 'Send (Enter)',
    stop: 'Stop the answer',
    stopTitle: 'Stop (Esc)',
    whyAway: 'Not connected. You can go on writing; sending works again in a moment.',
    whyNoNode: 'No node is here to answer. You can write already; sending works when one has joined.',
  },

  empty: {
    noNode: 'No node is here yet',
    noNodeLead: 'The gateway is running, but no machine has joined that could answer.',
    hello: (name: string) => `Good to see you, ${name}`,
    lead: 'Ask something. A machine in the swarm will answer.',
    ideasLabel: 'Things to ask',
    ideas: ['What can you help me with?', 'Explain hole punching in two sentences', 'Write a haiku about starlings'],
    /** The demo model knows these and no other language. */
    demoIdeas: ['What is the swarm?', 'How do I add a node?', '6 times 8'],
    characters: 'Characters to talk to',
    moreCharacters: 'More characters',
    makeCharacter: 'Make a character to talk to',
  },
  demo: {
    note: 'A tiny demo model answers here: it knows the swarm and small sums, and is often wrong.',
    add: 'Add a real one',
    addTitle: 'Add a node with a larger model',
  },
  link: {
    updated: 'The gateway has been updated.',
    reload: 'Reload this page',
    away: 'The gateway is away. What was said is kept.',
    next: (seconds: number) => `Next try in ${seconds} s.`,
    connecting: 'Connecting…',
    now: 'Try now',
  },
  trouble: {
    missing: 'There is no such conversation',
    missingLead: 'It may have been deleted, or it belongs to somebody else.',
    startNew: 'Start a new chat',
    failed: 'The conversation could not be loaded',
    lineDown: 'There is no connection to the gateway, so nothing was sent. Your text is back in the box.',
    notGoneOn: 'There is no connection to the gateway right now. The answer is kept and can go on later.',
    notAgain: 'There is no connection to the gateway right now. The answer is as it was.',
    gone: 'The conversation was deleted.',
    lineLost: 'The connection was lost before the gateway confirmed your message. Your text is back in the box.',
    notLoaded: 'The conversation could not be loaded.',
  },

  model: {
    label: (name: string) => `Model: ${name}`,
    demo: 'demo',
    loading: (model: ModelView) => `being loaded, ${percent((model.loading_permille ?? 0) / 1000)} · ${reads(model)}`,
    loadable: (model: ModelView) => `not loaded: the first question waits for that · ${reads(model)}`,
    away: (model: ModelView) => `its computers are paused at the moment · ${reads(model)}`,
    upTo: (tokensPerSecond: number) => `up to ${rate(tokensPerSecond)} tokens/s`,
    loaded: (model: ModelView) => `${plural(model.nodes, 'node')} · ${whole(model.slots_free)} of ${whole(model.slots_total)} free · ${reads(model)}`,
  },

  message: {
    answer: 'Answer',
    question: 'You asked',
    about: 'About this answer',
    computedOn: 'What computed this answer',
    firstAfter: (time: string) => `first after ${time}`,
    firstTitle: 'Time to the first token',
    nothingYet: 'Nothing was said yet.',
    goOn: 'Go on',
    askAgain: 'Ask again',
    another: 'Another answer',
    branch: 'Go on in a new chat',
    branchTitle: (title: string) => `${title} (branch)`,
    copyWhat: 'answer',
    interrupted: 'This answer was interrupted',
    kept: 'What had arrived is kept.',
    noneKept: 'Nothing of it had arrived.',
    sending: 'Sending…',
    edit: 'Edit',
    editLabel: 'Edit this question',
    yourQuestion: 'Your question',
    askThis: 'Ask this',
    unanswered: 'This question has no answer.',
    conversation: 'Conversation',
    versions: 'Versions',
    earlier: 'Earlier version',
    later: 'Later version',
    version: (at: number, of: number) => `Version ${at} of ${of}`,
    code: 'code',
    text: 'text',
    /** Why an answer is shorter than it might be; null when it is simply complete. */
    ending: (answer: Answer | null): string | null => {
      if (answer?.finish_reason === 'cancelled') return 'You stopped this answer.'
      return answer?.finish_reason === 'length' ? 'The answer reached the length limit.' : null
    },
    /** An answer that another node went on with, in as few words as a mark has room for. */
    wentOn: (nodes: readonly string[]) => (nodes.length === 2 ? `went on on ${nodes[1]}` : `went on ${nodes.length - 1} times`),
    wentOnStory: ([first, ...others]: readonly string[]) => `${first} began this answer. ${others.join(', then ')} went on with it from where it stood.`,
    /** An answer that was given with memories. */
    remembered: (count: number) => `remembered ${count}`,
  },

  /** What a screen reader is told of parts of an answer. */
  markdown: { table: 'Table', done: 'done', toDo: 'to do', image: 'image', noDescription: 'without a description', formula: 'Formula' },

  parameters: {
    title: 'How it answers',
    lead: 'For this conversation. What is left empty is as the character or the node has it.',
    leadNew: 'For the conversation that your next question begins. What is left empty is as the node has it.',
    system: 'What the model is told first',
    systemHint: 'It reads this before anything else. For example: Answer briefly, and in French.',
    temperature: 'Temperature',
    temperatureHint: '0 is steady, 2 is wild.',
    topP: 'Top-p',
    topPHint: '1 is all words, less the likely ones.',
    longest: 'Longest answer',
    longestHint: 'In tokens.',
    reset: 'Empty all',
    open: 'How it answers',
    openSet: 'How it answers (changed)',
    failed: 'The parameters could not be loaded.',
  },

  palette: {
    title: 'What would you like to do?',
    label: 'A command, or words of a conversation',
    hint: 'Command or conversation',
    nothing: 'Nothing like that.',
    commands: 'Commands',
    conversations: 'Conversations',
    newChat: 'New chat',
    model: (name: string) => `Ask ${name}`,
    shortcuts: 'Keyboard shortcuts',
    parameters: 'How it answers',
  },

  shortcuts: {
    title: 'Keyboard shortcuts',
    or: 'or',
    palette: 'Find a command or a conversation',
    newChat: 'New chat',
    write: 'Write',
    send: 'Send',
    line: 'New line',
    stop: 'Stop the answer',
    help: 'This list',
    close: 'Close what lies above',
  },

  running: {
    away: 'Waiting for the gateway. The answer goes on when it is back.',
    stopping: 'Stopping…',
    aNode: 'A node',
    thinking: (node: string) => `${node} is thinking…`,
    reading: (node: string) => `${node} is reading…`,
    looking: 'Looking for a free node…',
    loading: (model: string, node: string, permille: number) => `Loading ${model} on ${node}… ${percent(permille / 1000)}`,
    /** A guess is a guess: minutes from one and a half on, and no more than "a moment" below. */
    waiting: (line: { position: number; seconds: number } | null) => {
      if (!line) return 'All nodes are busy. Your question is in line and starts as soon as one is free.'
      const place = line.position === 1 ? 'Your question is next' : `Your question is number ${whole(line.position)} in line`
      if (line.seconds < 3) return `All nodes are busy. ${place} and starts in a moment.`
      const time = line.seconds < 90 ? `${line.seconds} seconds` : `${Math.round(line.seconds / 60)} minutes`
      return `All nodes are busy. ${place} and starts in about ${time}.`
    },
  },
}
