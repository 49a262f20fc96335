// What an answer offers, drawn into a real document.
import { createApp, defineComponent, h, type PropType } from 'vue'
import { describe, expect, it } from 'vitest'
import AnswerMessage from '../src/components/chat/AnswerMessage.vue'
import RunningAnswer from '../src/components/chat/RunningAnswer.vue'
import type { Answer, Message } from '../src/wire'
import { answered } from './frames'

const answer: Answer = {
  node_name: 'cellar', node_peer: 'p', nodes: ['attic', 'cellar'], device: 'CPU', model: 'm', finish_reason: 'cancelled',
  prompt_tokens: 1, completion_tokens: 2, first_token_ms: null, tokens_per_second: null, memories: [],
}
/** A router link that says where it leads. */
const link = defineComponent({
  props: { to: { type: Object as PropType<{ query: { id: string } }>, required: true } },
  setup: (props, { slots }) => () => h('a', { 'data-id': props.to.query.id }, slots['default']?.()),
})
const lost = { code: 'node_lost', message: 'Gone.' }

function drawn(message: Message, canRetry = true) {
  const root = document.createElement('div')
  const clicks: string[] = []
  const app = createApp({ render: () => h(AnswerMessage, { message, path: null, canRetry, isLast: true, canChoose: true, onGoOn: () => clicks.push('go on'), onRetry: () => clicks.push('retry') }) })
  app.component('RouterLink', link)
  app.mount(root)
  const button = () => [...root.querySelectorAll('button')].find((b) => b.textContent === 'Go on')
  return { root, clicks, button }
}

describe('an answer', () => {
  it('offers to go on where something is kept to go on from', () => {
    const cases: [Partial<Message>, boolean, boolean][] = [
      [{ status: 'partial', error: lost, resumable: true }, true, true],
      [{ status: 'partial', answer, resumable: true }, true, true],
      [{ status: 'partial', error: lost, resumable: true }, false, false],
      [{ status: 'partial', error: lost }, true, false],
      [{ status: 'complete', answer: { ...answer, finish_reason: 'stop' } }, true, false],
    ]
    for (const [more, canRetry, offered] of cases) {
      const { button, clicks } = drawn(answered('m2', 'half', more), canRetry)
      expect(button() !== undefined, JSON.stringify(more)).toBe(offered)
      button()?.click()
      expect(clicks).toEqual(offered ? ['go on'] : [])
    }
  })

  it('has a mark that opens when another node went on with it, and none otherwise', () => {
    const { root } = drawn(answered('m2', 'whole', { answer }))
    expect(root.querySelector('details.went-on summary')?.textContent).toBe('went on on cellar')
    expect(root.querySelector('details.went-on p')?.textContent).toContain('attic began')
    expect(drawn(answered('m2', 'whole', { answer: { ...answer, nodes: ['cellar'] } })).root.querySelector('.went-on')).toBeNull()
  })

  it('shows what it was given with, and where to change that', () => {
    const used = [{ id: 'm/1', text: 'likes tuna', similarity: 0.5 }, { id: 'm2', text: '<b>bold</b>', similarity: 0.4 }]
    const { root } = drawn(answered('m2', 'whole', { answer: { ...answer, nodes: ['cellar'], memories: used } }))
    expect(root.querySelector('details summary')?.textContent).toBe('remembered 2')
    expect([...root.querySelectorAll('details li')].map((item) => item.textContent?.trim())).toEqual(['likes tuna Change', '<b>bold</b> Change'])
    expect(root.querySelector('details a')?.getAttribute('data-id')).toBe('m/1')
    expect(drawn(answered('m2', 'whole', { answer: { ...answer, nodes: ['cellar'] } })).root.querySelector('details')).toBeNull()
  })

  it('waits calmly while the gateway is away', () => {
    const turn = { id: 't1', request: null, question: null, replaces: null, phase: 'answering' as const, text: 'half', seq: 4, node: null, line: null, load: null, stopping: false }
    for (const away of [true, false]) {
      const root = document.createElement('div')
      createApp({ render: () => h(RunningAnswer, { turn, away }) }).mount(root)
      expect(root.textContent).toContain('half')
      expect(root.textContent.includes('The answer goes on when it is back')).toBe(away)
    }
  })
})
