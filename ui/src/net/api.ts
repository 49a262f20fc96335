// The gateway's JSON API as typed functions. Knows nothing of Vue or of pages.
import type {
  ApiKey, ChangeConversation, ChangePerson, Character, Conversation, Memory, MemoryStanding, Message, ModelView,
  NewCharacter, NewConversation, NewKey, NodeView, Person, PersonList, SessionAnswer, SessionView, SetupState, User,
} from '../wire'
import { Access } from './access'
import { ApiError, json, send, type Method } from './http'

export { ApiError }

export const access = new Access(() => enter('/api/session/refresh', {}))

/** Requests that say who somebody is; a refusal of theirs has nothing to do with the token. */
async function enter(path: string, body: unknown): Promise<SessionAnswer> {
  return json<SessionAnswer>(await send('POST', path, null, body))
}

export async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  return json<T>(await ask(method, path, body))
}

/** Asks with the token there is; when it has just run out, once more with the next. */
export async function ask(method: Method, path: string, body?: unknown): Promise<Response> {
  const used = access.token
  try {
    return await send(method, path, used, body)
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401 || used === null) throw error
    // Another request may have had the next one meanwhile.
    if (access.token === used) await access.refresh()
    return send(method, path, access.token, body)
  }
}

const id = encodeURIComponent

export const api = {
  setupState: () => call<SetupState>('GET', '/api/setup'),
  setUp: (code: string, username: string, password: string) => enter('/api/setup', { code, username, password }),
  signIn: (username: string, password: string) => enter('/api/session', { username, password }),
  signUp: (username: string, password: string, invitation: string | null) =>
    enter('/api/account', { username, password, invitation }),
  signOut: () => call<void>('DELETE', '/api/session'),
  signOutEverywhere: () => call<void>('DELETE', '/api/sessions'),
  sessions: () => call<{ sessions: SessionView[] }>('GET', '/api/sessions').then((r) => r.sessions),
  endSession: (key: string) => call<void>('DELETE', `/api/sessions/${id(key)}`),
  changePassword: (old: string, next: string) => call<void>('PUT', '/api/account/password', { old, new: next }),
  deleteAccount: (password: string) => call<void>('DELETE', '/api/account', { password }),
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
  exportFile: (key: string, format: 'json' | 'markdown') =>
    ask('GET', `/api/conversations/${id(key)}/export?format=${format}`).then(file),
  importFile: (file: unknown) =>
    call<{ conversation: Conversation }>('POST', '/api/conversations/import', file).then((r) => r.conversation),
  remove: (key: string) => call<void>('DELETE', `/api/conversations/${id(key)}`),

  begin: (how: NewConversation) =>
    call<{ conversation: Conversation }>('POST', '/api/conversations', how).then((r) => r.conversation),
  /** How it is answered from now on. */
  tune: (key: string, how: Pick<ChangeConversation, 'sampling' | 'system_prompt'>) =>
    call<{ conversation: Conversation }>('PATCH', `/api/conversations/${id(key)}`, how).then((r) => r.conversation),

  characters: () => call<{ characters: Character[] }>('GET', '/api/characters').then((r) => r.characters),
  makeCharacter: (what: NewCharacter) =>
    call<{ character: Character }>('POST', '/api/characters', what).then((r) => r.character),
  changeCharacter: (key: string, what: NewCharacter) =>
    call<{ character: Character }>('PUT', `/api/characters/${id(key)}`, what).then((r) => r.character),
  removeCharacter: (key: string) => call<void>('DELETE', `/api/characters/${id(key)}`),
  setPicture: (key: string, base64: string | null) => call<void>('PUT', `/api/characters/${id(key)}/picture`, { base64 }),
  /** Another address when it has changed, so that no old one is shown. */
  picture: (one: Character) =>
    ask('GET', `/api/characters/${id(one.id)}/picture?at=${id(one.updated_at)}`).then((r) => r.blob()),

  people: (limit: number, behind: string) =>
    call<PersonList>('GET', `/api/users?limit=${limit}&behind=${id(behind)}`).then((r) => r.users),
  changePerson: (key: string, what: ChangePerson) =>
    call<{ user: Person }>('PATCH', `/api/users/${id(key)}`, what).then((r) => r.user),
  removePerson: (key: string) => call<void>('DELETE', `/api/users/${id(key)}`),
  memories: (limit: number, before: string | null) =>
    call<{ memories: Memory[] }>('GET', `/api/memories?limit=${limit}${before ? `&before=${id(before)}` : ''}`).then((r) => r.memories),
  findMemories: (words: string) =>
    call<{ memories: Memory[] }>('GET', `/api/memories?limit=20&q=${id(words)}`).then((r) => r.memories),
  memory: (key: string) => call<{ memory: Memory }>('GET', `/api/memories/${id(key)}`).then((r) => r.memory),
  addMemory: (text: string) => call<{ memory: Memory }>('POST', '/api/memories', { text }).then((r) => r.memory),
  changeMemory: (key: string, text: string) =>
    call<{ memory: Memory }>('PATCH', `/api/memories/${id(key)}`, { text }).then((r) => r.memory),
  removeMemory: (key: string) => call<void>('DELETE', `/api/memories/${id(key)}`),
  removeMemories: () => call<void>('DELETE', '/api/memories'),
  memoryStanding: () => call<MemoryStanding>('GET', '/api/memory'),
  switchMemory: (enabled: boolean) => call<void>('PUT', '/api/memory', { enabled }),

  keys: () => call<{ keys: ApiKey[] }>('GET', '/api/keys').then((r) => r.keys),
  makeKey: (what: NewKey) => call<{ key: ApiKey; secret: string }>('POST', '/api/keys', what),
  revokeKey: (key: string) => call<void>('DELETE', `/api/keys/${id(key)}`),
}

/** A file and the name that the gateway gives it. */
export async function file(response: Response): Promise<{ name: string; content: Blob }> {
  const name = /filename="([^"/\\]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'conversation'
  return { name, content: await response.blob() }
}
