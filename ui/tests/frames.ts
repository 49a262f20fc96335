// Makers of frames and messages for the tests.
import type { Conversation, Message, ServerFrame } from '../src/wire'

export const conversation: Conversation = { id: 'c1', title: 'Hello', created_at: '2026-11-22T16:00:00.000Z', updated_at: '2026-11-22T16:00:00.000Z', pinned: false, character: null, sampling: { temperature: null, top_p: null, max_tokens: null } }

export function said(id: string, text: string): Message {
  return { id, role: 'user', text, created_at: '2026-11-22T16:00:00.000Z', status: 'complete', error: null, answer: null, resumable: false, parent: null, versions: [id] }
}

export function answered(id: string, text: string, more: Partial<Message> = {}): Message {
  return { ...said(id, text), role: 'assistant', ...more }
}

export const accepted = (request: string | null = 'r1', turn = 't1', message = said('m1', 'hi')): ServerFrame =>
  ({ type: 'accepted', request, conversation, message, turn })
export const started = (turn = 't1'): ServerFrame =>
  ({ type: 'started', turn, conversation: 'c1', node_name: 'attic', node_peer: 'p', path: 'relayed', model: 'm', nodes: ['attic'] })
export const loading = (permille: number, turn = 't1'): ServerFrame =>
  ({ type: 'loading_model', turn, node_name: 'attic', model: 'm', permille })
export const piece = (seq: number, text: string, turn = 't1', from = seq - text.length): ServerFrame =>
  ({ type: 'piece', turn, from, seq, text })
export const done = (message: Message, turn = 't1'): ServerFrame => ({ type: 'done', turn, conversation: 'c1', message })
export const failed = (more: Partial<Extract<ServerFrame, { type: 'failed' }>>): ServerFrame =>
  ({ type: 'failed', turn: 't1', request: null, conversation: 'c1', error: { code: 'no_node', message: 'None.' }, message: null, ...more })
