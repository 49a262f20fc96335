// The gateway's JSON API as typed functions. Knows HTTP and nothing of Vue or of pages.
import type { ApiKey, Character, Conversation, ErrorBody, Message, ModelView, NewCharacter, NodeView, User } from '../wire'

/** What the gateway, or the way to it, said instead of an answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
  ) {
    super(body.message)
  }
  get code(): string {
    return this.body.code
  }
  get field(): string | null {
    return this.body.field ?? null
  }
}

const UNREACHABLE: ErrorBody = {
  code: 'unreachable',
  message: 'The gateway cannot be reached. Check the connection and try again.',
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, headers: { accept: 'application/json' }, credentials: 'same-origin' }
  if (method !== 'GET') {
    // The gateway takes a change only as JSON: a form on another page cannot send that.
    init.headers = { accept: 'application/json', 'content-type': 'application/json' }
    init.body = JSON.stringify(body ?? {})
  }
  const response = await fetch(path, init).catch(() => null)
  if (!response) throw new ApiError(0, UNREACHABLE)
  if (!response.ok) throw new ApiError(response.status, await errorBody(response))
  if (response.status === 204) return undefined as T
  return (await response.json().catch(() => {
    throw new ApiError(response.status, UNREACHABLE)
  })) as T
}

async function errorBody(response: Response): Promise<ErrorBody> {
  const json: unknown = await response.json().catch(() => null)
  const error = (json as { error?: Partial<ErrorBody> } | null)?.error
  if (typeof error?.code === 'string' && typeof error.message === 'string') return error as ErrorBody
  return { code: `http_${response.status}`, message: `The gateway answered with status ${response.status}.` }
}

const id = encodeURIComponent

export const api = {
  setupNeeded: () => call<{ needed: boolean }>('GET', '/api/setup').then((r) => r.needed),
  setUp: (code: string, username: string, password: string) =>
    call<{ user: User }>('POST', '/api/setup', { code, username, password }).then((r) => r.user),
  signIn: (username: string, password: string) =>
    call<{ user: User }>('POST', '/api/session', { username, password }).then((r) => r.user),
  signOut: () => call<void>('DELETE', '/api/session'),
  me: () => call<{ user: User }>('GET', '/api/me').then((r) => r.user),

  models: () => call<{ models: ModelView[] }>('GET', '/api/models').then((r) => r.models),
  swarm: () => call<{ nodes: NodeView[]; peers: number }>('GET', '/api/swarm'),

  conversations: (limit: number, before: string | null) =>
    call<{ conversations: Conversation[] }>(
      'GET',
      `/api/conversations?limit=${limit}${before ? `&before=${id(before)}` : ''}`,
    ).then((r) => r.conversations),
  conversation: (key: string) =>
    call<{ conversation: Conversation; messages: Message[] }>('GET', `/api/conversations/${id(key)}`),
  show: (message: string) =>
    call<{ conversation: Conversation; messages: Message[] }>('POST', `/api/messages/${id(message)}/show`),
  search: (words: string) =>
    call<{ conversations: Conversation[] }>('GET', `/api/conversations?limit=100&search=${id(words)}`).then((r) => r.conversations),
  rename: (key: string, title: string) => call<unknown>('PATCH', `/api/conversations/${id(key)}`, { title }),
  pin: (key: string, pinned: boolean) => call<unknown>('PATCH', `/api/conversations/${id(key)}`, { pinned }),
  /** Where a conversation is a file. */
  exportPath: (key: string, format: 'json' | 'markdown') => `/api/conversations/${id(key)}/export?format=${format}`,
  importFile: (file: unknown) =>
    call<{ conversation: Conversation }>('POST', '/api/conversations/import', file).then((r) => r.conversation),
  remove: (key: string) => call<void>('DELETE', `/api/conversations/${id(key)}`),

  converseWith: (character: string) =>
    call<{ conversation: Conversation }>('POST', '/api/conversations', { character }).then((r) => r.conversation),

  characters: () => call<{ characters: Character[] }>('GET', '/api/characters').then((r) => r.characters),
  makeCharacter: (what: NewCharacter) =>
    call<{ character: Character }>('POST', '/api/characters', what).then((r) => r.character),
  changeCharacter: (key: string, what: NewCharacter) =>
    call<{ character: Character }>('PUT', `/api/characters/${id(key)}`, what).then((r) => r.character),
  removeCharacter: (key: string) => call<void>('DELETE', `/api/characters/${id(key)}`),
  setPicture: (key: string, base64: string | null) => call<void>('PUT', `/api/characters/${id(key)}/picture`, { base64 }),
  /** Another one when it has changed, so that no old one is shown. */
  picturePath: (one: Character) => `/api/characters/${id(one.id)}/picture?at=${id(one.updated_at)}`,

  keys: () => call<{ keys: ApiKey[] }>('GET', '/api/keys').then((r) => r.keys),
  makeKey: (label: string) => call<{ key: ApiKey; secret: string }>('POST', '/api/keys', { label }),
  revokeKey: (key: string) => call<void>('DELETE', `/api/keys/${id(key)}`),
}
