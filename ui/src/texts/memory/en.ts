// The page of what is remembered.
import type { Memory, MemoryStanding } from '../../wire'
import { plural } from '../common/en'
import { percent, shortDate, whole } from '../formats'

export const memory = {
  title: 'Memory',
  lead: 'Facts that you write here, and what was said in your conversations. What fits a question is told to the model with it, and shown under its answer.',
  failed: 'The memories could not be loaded.',
  addLabel: 'Remember that…',
  add: 'Remember',
  find: 'Find by meaning',
  nothingLike: 'Nothing like it.',
  nothing: 'Nothing yet.',
  removeAllTitle: 'Delete all memories?',
  removeTitle: 'Delete this memory?',
  removeAllText: 'All facts, and all that is remembered of what was said. The conversations themselves stay.',
  removeText: (text: string) => `“${text}” will not be used again.`,
  toggle: 'Remember, and use it. Switched off, nothing new is remembered and nothing is put before your questions; what is here stays until you delete it.',
  counts: (standing: MemoryStanding) =>
    `${plural(standing.facts, 'fact')} of ${whole(standing.max_facts)} · ${plural(standing.passages, 'passage')} of what was said`,
  removeAll: 'Delete all',
  conversation: 'the conversation',
  changeOne: (text: string) => `Change “${text}”`,
  removeOne: (text: string) => `Delete “${text}”`,
  editTitle: 'Change what is remembered',
  editLabel: 'What is remembered',
  /** Where a memory is from, and in a search how near it is. */
  facts: (memory: Memory) => {
    const from = memory.kind === 'fact' ? `a fact, ${shortDate(memory.updated_at)}` : `said ${shortDate(memory.created_at)}, in`
    return memory.similarity === null ? from : `${percent(Math.round(memory.similarity * 100) / 100)} alike · ${from}`
  },
  /** What no model has read yet; empty when nothing waits. */
  waits: ({ waiting, model }: MemoryStanding) => {
    if (waiting === 0) return ''
    return model ? `${whole(waiting)} being read` : `${whole(waiting)} wait for a node that makes vectors; until then they are not found`
  },
}
