// A gateway made of nothing, for work on the page: `npm run mock`, then `npm run dev` or `npm run build` and its address.
// The first word of a question chooses what happens: long, slow, wait, fail, lost, moved, demo; POST /mock changes the swarm.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { WebSocketServer } from 'ws'
import { answers } from './answers.mjs'
import { nodes as machines, operatorRoutes } from './mock-operator.mjs'
import { feed } from './topology.mjs'

const PORT = Number(process.env.PORT ?? 8080)
/** Nodes of the swarm that /swarm shows. */
const NODES = Number(process.env.NODES ?? 50)
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types vue starling"
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json' }
const node = (name, more) => ({ peer: '12D3KooWQ7hM4fYt1nZ8b5sV3kXeRj6uPaLwDcGm2oT9yBvNxE' + name.slice(0, 2), name, path: 'direct', rtt_ms: 1.24, slots_free: 3, slots_total: 4, models: ['swarm-demo-3M'], decode_tokens_per_second: 812, device: 'CPU: 2 threads', version: '0.1.0', warning: '', gpus: [], loadable: [], drained: false, paused: null, network: { nat: 'cone', udp: true, ipv6: null, relays: 0, mapped: false }, ram: { total: 16e9, used: 6.2e9 }, offers: [], ...more })
const model = (id, more) => ({ id, hash: 'ab'.repeat(32), context_tokens: 1024, demo: false, state: 'loaded', loading_permille: null, nodes: 1, slots_free: 3, slots_total: 4, ...more })
const demo = { nodes: [node('attic')], models: [model('swarm-demo-3M', { demo: true })] }
const rich = {
  nodes: [node('workshop', { models: ['Qwen3-8B-Q4_K_M'], device: 'CUDA: NVIDIA GeForce RTX 4070', gpus: [{ name: 'NVIDIA GeForce RTX 4070', memory: { total: 12.9e9, used: 8.1e9 }, utilization_percent: 87, temperature_celsius: 66, power_watts: 182 }], decode_tokens_per_second: 61, rtt_ms: 18.4 }), node('attic', { path: 'relayed', rtt_ms: 74, warning: 'this computer has a GPU that is not used: the program was built without CUDA and Vulkan' })],
  models: [model('Qwen3-8B-Q4_K_M', { context_tokens: 32768 }), model('swarm-demo-3M', { demo: true })],
}
const state = { setup: true, user: null, signedIn: false, down: false, swarm: demo, conversations: new Map(), keys: [], characters: [], memories: [], remembers: true, turns: new Map(), sockets: new Set() }

/** As the gateway does it: a running answer is there from its beginning, under the id of its turn. */
function withRunning(id) {
  const { conversation, messages } = state.conversations.get(id)
  const turn = [...state.turns.values()].find((t) => t.conversation === id)
  const running = { id: turn?.id, role: 'assistant', text: '', created_at: now(), status: 'partial', error: null, answer: null, resumable: false, parent: messages.at(-1)?.id ?? null, versions: [] }
  return { conversation, messages: turn ? [...messages, running] : messages }
}

let last = 0
const newId = () => {
  last = Math.max(Date.now(), last + 1)
  return `${last.toString(16).padStart(12, '0').replace(/(.{8})/, '$1-')}-7000-8000-${Math.random().toString(16).slice(2, 14).padEnd(12, '0')}`
}
const now = () => new Date().toISOString()
const fail = (status, code, message, field) => ({ status, body: { error: { code, message, field } } })
const ok = (body, status = 200) => ({ status, body })

function addConversation(title, when = now()) {
  const conversation = { id: newId(), title, created_at: when, updated_at: when, pinned: false, character: null, sampling: { temperature: null, top_p: null, max_tokens: null } }
  state.conversations.set(conversation.id, { conversation, messages: [] })
  return conversation
}

function begin(character, sampling) {
  const conversation = addConversation(character.name)
  if (sampling) conversation.sampling = sampling
  conversation.character = character.id
  const chat = state.conversations.get(conversation.id)
  for (const [role, text] of [['system', character.system_prompt], ['assistant', character.greeting]]) {
    if (text) place(chat, { id: newId(), role, text, created_at: now(), status: 'complete', error: null, answer: null, resumable: false })
  }
  return ok({ conversation }, 201)
}

const entry = () => ({ user: state.user, access_token: 'mock', expires_in: 600 })

const routes = {
  'GET /api/setup': () => ok({ needed: state.setup, sign_up: 'invitation' }),
  'POST /api/setup': ({ code, username, password }) => {
    if (code !== 'TEST-CODE') return fail(403, 'wrong_code', 'That is not the code. It is printed where the gateway was started.')
    if (password.length < 8) return fail(400, 'invalid', 'The password needs at least 8 characters.', 'password')
    Object.assign(state, { setup: false, signedIn: true, user: { id: newId(), username, role: 'admin' } })
    return ok(entry(), 201)
  },
  'POST /api/session': ({ password }) => {
    if (password === 'wrong') return fail(401, 'wrong_credentials', 'Name or password is not right.')
    state.signedIn = true
    return ok(entry())
  },
  'POST /api/account': ({ username, invitation }) => {
    if (invitation === 'wrong') return fail(403, 'not_invited', 'The invitation is wrong.', 'invitation')
    Object.assign(state, { signedIn: true, user: { id: newId(), username, role: 'user' } })
    return ok(entry(), 201)
  },
  'PUT /api/account/password': ({ old }) => old === 'wrong' ? fail(403, 'wrong_password', 'The password is wrong.', 'old') : { status: 204 },
  'DELETE /api/account': () => { state.signedIn = false; return { status: 204 } },
  ...operatorRoutes(() => state.user),
  'POST /api/session/refresh': () => ok(entry()),
  'GET /api/sessions': () => ok({ sessions: [{ id: 's', created_at: now(), last_used_at: now(), agent: 'Firefox on Linux', network: '127.0.0.0/24', current: true }] }),
  'DELETE /api/sessions': () => { state.signedIn = false; return { status: 204 } },
  'DELETE /api/session': () => { state.signedIn = false; return { status: 204 } },
  'GET /api/me': () => ok({ user: state.user }),
  'GET /api/models': () => ok({ models: state.swarm.models }),
  'GET /api/swarm': () => ok({ nodes: state.swarm.nodes, peers: state.swarm.nodes.length + 1 }),
  'GET /api/conversations': (_, __, query) => ok({ conversations: [...state.conversations.values()].map((c) => c.conversation).filter((c) => c.title.toLowerCase().includes((query.get('search') ?? '').toLowerCase())).sort((a, b) => (a.updated_at < b.updated_at ? 1 : -1)).slice(0, 50) }),
  'GET /api/conversations/:id': (_, id) => state.conversations.has(id) ? ok(withRunning(id)) : fail(404, 'no_such_conversation', 'There is no such conversation.'),
  'PATCH /api/conversations/:id': (change, id) => { Object.assign(state.conversations.get(id).conversation, change); return ok(state.conversations.get(id)) },
  'POST /api/messages/:id/show': (_, id) => showVersion(id),
  'DELETE /api/conversations/:id': (_, id) => { state.conversations.delete(id); return { status: 204 } },
  'GET /api/characters': () => ok({ characters: state.characters }),
  'POST /api/characters': (what) => { const character = { id: newId(), mine: true, has_picture: false, updated_at: now(), ...what }; state.characters.unshift(character); return ok({ character }, 201) },
  'PUT /api/characters/:id': (what, id) => { const character = state.characters.find((c) => c.id === id); Object.assign(character, what); return ok({ character }) },
  'DELETE /api/characters/:id': (_, id) => { state.characters = state.characters.filter((c) => c.id !== id); return { status: 204 } },
  'GET /api/memories': () => ok({ memories: state.memories }),
  'POST /api/memories': ({ text }) => { const memory = { id: newId(), kind: 'fact', text, conversation: null, created_at: now(), updated_at: now(), similarity: null }; state.memories.unshift(memory); return ok({ memory }, 201) },
  'GET /api/memories/:id': (_, id) => ok({ memory: state.memories.find((m) => m.id === id) }),
  'PATCH /api/memories/:id': ({ text }, id) => { const memory = state.memories.find((m) => m.id === id); Object.assign(memory, { text, updated_at: now() }); return ok({ memory }) },
  'DELETE /api/memories/:id': (_, id) => { state.memories = state.memories.filter((m) => m.id !== id); return { status: 204 } },
  'DELETE /api/memories': () => { state.memories = []; return { status: 204 } },
  'GET /api/memory': () => ok({ enabled: state.remembers, facts: state.memories.length, max_facts: 1000, passages: 0, waiting: 0, model: 'all-MiniLM-L6-v2' }),
  'PUT /api/memory': ({ enabled }) => { state.remembers = enabled; return { status: 204 } },
  'POST /api/conversations': ({ character: id, system_prompt, sampling }) => begin(state.characters.find((c) => c.id === id) ?? { id: null, name: 'New conversation', system_prompt }, sampling),
  'POST /api/conversations/import': (file) => { const conversation = addConversation(file.title); const chat = state.conversations.get(conversation.id); for (const { role, text, answer } of file.messages) place(chat, { id: newId(), role, text, created_at: now(), status: 'complete', error: null, answer: answer ?? null, resumable: false }); return ok({ conversation }, 201) },
  'GET /api/keys': () => ok({ keys: state.keys }),
  'POST /api/keys': ({ label }) => {
    const key = { id: newId(), label, created_at: now(), last_used_at: null }
    state.keys.unshift(key)
    return ok({ key, secret: `sk-starling-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}` }, 201)
  },
  'DELETE /api/keys/:id': (_, id) => { state.keys = state.keys.filter((k) => k.id !== id); return { status: 204 } },
  'POST /mock': mockControl,
}
const open = new Set(['GET /api/setup', 'POST /api/setup', 'POST /api/session', 'POST /api/account', 'POST /mock'])

function mockControl({ swarm, expire, down, reset, seed, role }) {
  if (role) state.user.role = role
  if (reset) Object.assign(state, { setup: reset === 'setup', user: { id: newId(), username: 'mira', role: 'admin' }, signedIn: false, keys: [], characters: [], memories: [], remembers: true, down: false, swarm: demo })
  if (reset) state.conversations.clear()
  if (seed) for (const [title, daysAgo] of seed) addConversation(title, new Date(Date.now() - daysAgo * 86_400_000).toISOString())
  if (swarm) state.swarm = { demo, rich, operator: { nodes: machines, models: rich.models }, none: { nodes: [], models: [] } }[swarm]
  if (expire) state.signedIn = false
  if (down !== undefined) state.down = down
  if (expire || down) for (const socket of state.sockets) socket.terminate()
  if (swarm) tell({ type: 'swarm', ...summary() })
  return { status: 204 }
}

const summary = () => ({ nodes: process.env.NODES ? NODES : state.swarm.nodes.length, models: state.swarm.models.map((m) => m.id) })
const tell = (frame) => { for (const socket of state.sockets) socket.send(JSON.stringify(frame)) }

async function answer(request) {
  const url = new URL(request.url, 'http://x')
  const exact = `${request.method} ${url.pathname}`
  const rest = exact.endsWith('/show') ? '/show' : ''
  const [, parent, id] = /^(.*)\/([^/]+)$/.exec(exact.slice(0, exact.length - rest.length)) ?? []
  const name = exact in routes ? exact : `${parent}/:id${rest}`
  if (!(name in routes)) return fail(404, 'no_such_path', 'There is nothing here.')
  if (state.down && name !== 'POST /mock') return fail(502, 'bad_gateway', 'The gateway is down.')
  if (!open.has(name) && !state.signedIn) return fail(401, 'not_signed_in', 'Sign in first.')
  let text = ''
  for await (const chunk of request) text += chunk
  return routes[name](text ? JSON.parse(text) : {}, id, url.searchParams)
}

async function file(path) {
  const name = path.includes('.') ? path : '/index.html'
  const data = await readFile(new URL(`../dist${name}`, import.meta.url)).catch(() => null)
  return { data, type: types[extname(name)] ?? 'application/octet-stream' }
}

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://x').pathname
  response.setHeader('content-security-policy', CSP)
  if (path.startsWith('/api') || path === '/mock') {
    const { status, body } = await answer(request)
    response.writeHead(status, { 'content-type': 'application/json' })
    return response.end(body ? JSON.stringify(body) : undefined)
  }
  const { data, type } = await file(path)
  response.writeHead(data ? 200 : 404, { 'content-type': type })
  response.end(data ?? 'not found')
})

const sockets = new WebSocketServer({ noServer: true })
server.on('upgrade', (request, socket, head) => {
  if (state.down) return socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on('close', () => state.sockets.delete(ws))
    ws.on('message', (data) => onFrame(ws, JSON.parse(String(data))))
  })
})

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms))

function onFrame(ws, frame) {
  const send = (value) => ws.readyState === 1 && ws.send(JSON.stringify(value))
  if (frame.type === 'authenticate') {
    if (!state.signedIn) return ws.close(4401)
    if (!state.sockets.has(ws)) send({ type: 'hello', version: 3, swarm: summary() })
    return void state.sockets.add(ws)
  }
  if (frame.type === 'watch') return watchSwarm(ws, frame, send)
  if (frame.type === 'unwatch') { ws.unwatch?.(); ws.unwatch = undefined; return }
  if (frame.type === 'ask') return void ask(frame, send)
  if (frame.type === 'again') return void ask({ ...frame, again: frame.answer }, send)
  if (frame.type === 'go_on') return void goOn(frame, send)
  const turn = [...state.turns.values()].find((t) => (frame.type === 'stop' ? t.id === frame.turn : t.conversation === frame.conversation))
  if (frame.type === 'stop') { if (turn) turn.stopped = true; return }
  if (!turn) return send({ type: 'idle', conversation: frame.conversation })
  send({ type: 'accepted', request: null, conversation: turn.chat.conversation, message: turn.message, turn: turn.id })
  if (turn.started) send(turn.started)
  if (turn.pieces.length > frame.last_seq) send({ type: 'piece', turn: turn.id, from: frame.last_seq, seq: turn.pieces.length, text: turn.pieces.slice(frame.last_seq).join('') })
  turn.listeners.add(send)
}

let swarm = null
function watchSwarm(ws, { node: chosen }, send) {
  swarm ??= feed(NODES)
  ws.unwatch ??= swarm.watch(send)
  ws.on('close', () => ws.unwatch?.())
  if (chosen) send({ type: 'node', peer: chosen, node: swarm.detail(chosen, node('attic')) })
}

/** All branches stay in `all`; `messages` is the one that is shown. */
function place(chat, message, beside) {
  const at = beside ? chat.messages.findIndex((m) => m.id === beside) : chat.messages.length
  chat.messages = [...chat.messages.slice(0, at), message]
  message.parent = chat.messages.at(-2)?.id ?? null
  chat.all = [...(chat.all ?? []), message]
  const versions = chat.all.filter((m) => m.parent === message.parent && m.role === message.role)
  for (const version of versions) version.versions = versions.map((m) => m.id)
}

function showVersion(id) {
  const chat = [...state.conversations.values()].find((c) => c.all?.some((m) => m.id === id))
  const byId = (wanted) => chat.all.find((m) => m.id === wanted)
  let last = byId(id)
  for (let next = last; next; next = chat.all.findLast((m) => m.parent === last.id)) last = next
  chat.messages = []
  for (let message = last; message; message = byId(message.parent)) chat.messages.unshift(message)
  return ok({ conversation: chat.conversation, messages: chat.messages })
}

async function ask({ request, conversation, text = '', model: wanted, instead_of: edited, again }, send) {
  const kind = text.split(' ')[0].toLowerCase()
  const chat = state.conversations.get(conversation ?? addConversation(text.split(/\s+/).slice(0, 7).join(' ')).id)
  let message = { id: newId(), role: 'user', text, created_at: now(), status: 'complete', error: null, answer: null, resumable: false }
  if (again) {
    const at = chat.messages.findIndex((m) => m.id === again)
    message = chat.messages[at - 1]
    chat.messages = chat.messages.slice(0, at)
  } else place(chat, message, edited)
  chat.conversation.updated_at = now()
  const by = state.swarm.nodes.find((n) => n.models.includes(wanted)) ?? state.swarm.nodes[0]
  const turn = { id: newId(), conversation: chat.conversation.id, chat, message, pieces: [], nodes: by ? [by.name] : [], listeners: new Set([send]), stopped: false }
  const emit = (frame) => { for (const listener of turn.listeners) listener(frame) }
  send({ type: 'accepted', request, conversation: chat.conversation, message, turn: turn.id })
  if (!by) return send({ type: 'failed', turn: turn.id, request, conversation: turn.conversation, error: { code: 'no_node', message: 'No node of this swarm is here.' }, message: null })
  turn.started = { type: 'started', turn: turn.id, conversation: turn.conversation, node_name: by.name, node_peer: by.peer, path: by.path, model: by.models[0], nodes: [by.name] }
  state.turns.set(turn.id, turn)
  if (kind === 'wait') {
    for (const position of [3, 2, 1]) { send({ type: 'waiting', turn: turn.id, position, seconds: position * 2 }); await sleep(2000) }
  }
  emit(turn.started)
  await sleep(kind === 'slow' ? 2500 : 150)
  await stream(turn, answers(kind, text), emit, kind)
  finish(turn, chat, by, kind, emit)
}

/** In its place, and all of it again first. */
async function goOn({ request, conversation, turn: id }, send) {
  const chat = state.conversations.get(conversation)
  const before = chat.messages.pop()
  const by = state.swarm.nodes[0]
  const turn = { id, conversation, chat, message: chat.messages.at(-1), pieces: before.text.match(/\s*\S+/g) ?? [], nodes: before.answer.nodes, listeners: new Set([send]), stopped: false }
  const emit = (frame) => { for (const listener of turn.listeners) listener(frame) }
  state.turns.set(id, turn)
  send({ type: 'accepted', request, conversation: chat.conversation, message: turn.message, turn: id })
  emit({ type: 'piece', turn: id, from: 0, seq: turn.pieces.length, text: before.text })
  await sleep(400)
  move(turn, 'cellar', by, emit)
  await stream(turn, answers('', turn.message.text), emit, '')
  finish(turn, chat, { ...by, name: 'cellar' }, '', emit)
}

function move(turn, name, by, emit) {
  turn.nodes = [...turn.nodes, name]
  turn.started = { type: 'started', turn: turn.id, conversation: turn.conversation, node_name: name, node_peer: by.peer, path: by.path, model: by.models[0], nodes: turn.nodes }
  emit(turn.started)
}

async function stream(turn, text, emit, kind) {
  for (const piece of text.match(/\s*\S+/g).slice(turn.pieces.length)) {
    if (kind === 'moved' && turn.pieces.length === 20) move(turn, 'cellar', state.swarm.nodes[0], emit)
    if (turn.stopped || (kind === 'lost' && turn.pieces.length > 30) || kind === 'fail') return
    turn.pieces.push(piece)
    emit({ type: 'piece', turn: turn.id, from: turn.pieces.length - 1, seq: turn.pieces.length, text: piece })
    await sleep(kind === 'long' ? 8 : kind === 'slow' ? 60 : 14)
  }
}

function finish(turn, chat, by, kind, emit) {
  const broken = kind === 'lost' || kind === 'fail'
  const error = broken ? { code: 'node_lost', message: 'No other node with this model is here to go on with it. What had arrived is kept.' } : null
  const answer = { node_name: by.name, node_peer: by.peer, nodes: turn.nodes, device: by.device, model: by.models[0], finish_reason: broken ? 'error' : turn.stopped ? 'cancelled' : 'stop', prompt_tokens: 24, completion_tokens: turn.pieces.length, first_token_ms: 34.2, tokens_per_second: by.decode_tokens_per_second, memories: state.remembers ? state.memories.slice(0, 2).map(({ id, text }) => ({ id, text, similarity: 0.6 })) : [] }
  const message = { id: turn.id, role: 'assistant', text: turn.pieces.join(''), created_at: now(), status: broken ? (turn.pieces.length ? 'partial' : 'failed') : turn.stopped ? 'partial' : 'complete', error, answer, resumable: turn.pieces.length > 0 && (broken || turn.stopped), parent: null, versions: [turn.id] }
  place(chat, message)
  state.turns.delete(turn.id)
  if (broken) emit({ type: 'failed', turn: turn.id, request: null, conversation: turn.conversation, error, message })
  else emit({ type: 'done', turn: turn.id, conversation: turn.conversation, message })
}

server.listen(PORT, '127.0.0.1', () => console.log(`mock http://127.0.0.1:${PORT}/setup#code=TEST-CODE`))
