// What the made-up gateway knows for the operator's pages and for adding a node: a day of figures, a swarm with every
// kind of trouble, and a node that joins eight seconds after its invite was made (POST /mock {"joins": seconds}).
const now = () => new Date().toISOString()
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString()
const ok = (body, status = 200) => ({ status, body })
const done = { status: 204 }
const peer = (name) => `12D3KooW${name.padEnd(44, 'QhM4fYt1nZ8b5sV3kXeRj6uPaLwDcGm2oT9yBvNxEzA')}`.slice(0, 52)

const network = (more) => ({ nat: 'cone', udp: true, ipv6: false, relays: 0, mapped: false, ...more })
const offer = (model, more) => ({ model, device: 'CUDA0', memory_bytes: 6.1e9, context_tokens: 32768, slots_free: 3, slots_total: 4, prefill_tokens_per_second: 1400, decode_tokens_per_second: 61, throughput_tokens_per_second: 170, restarts: 0, trouble: '', ...more })
const card = { name: 'NVIDIA GeForce RTX 4070', memory: { total: 12.9e9, used: 8.1e9 }, utilization_percent: 87, temperature_celsius: 66, power_watts: 182 }
const node = (name, more) => ({ peer: peer(name), name, path: 'direct', rtt_ms: 18.4, slots_free: 3, slots_total: 4, models: ['Qwen3-8B-Q5_K_M'], decode_tokens_per_second: 61, device: 'CUDA: NVIDIA GeForce RTX 4070', version: '0.1.0', warning: '', gpus: [card], ram: { total: 34e9, used: 12e9 }, offers: [offer('Qwen3-8B-Q5_K_M')], network: network(), loadable: [], drained: false, paused: null, ...more })

export const nodes = [
  node('workshop', { loadable: [{ model: 'Llama-3.3-70B-Q4_K_M', bytes: 42.5e9, loading_permille: 340, seconds: 80, trouble: '' }] }),
  node('attic', { path: 'relayed', rtt_ms: 74, gpus: [], device: 'CPU: 8 threads', models: ['Qwen3-4B-Q4_K_M'], decode_tokens_per_second: 9.4, offers: [offer('Qwen3-4B-Q4_K_M', { device: 'CPU', decode_tokens_per_second: 9.4, slots_free: 1, slots_total: 2 })], slots_free: 1, slots_total: 2, network: network({ nat: 'symmetric', udp: false, relays: 2 }), warning: 'this computer has a GPU that is not used: the program was built without CUDA and Vulkan' }),
  node('lab-03', { drained: true, slots_free: 4, offers: [offer('Qwen3-8B-Q5_K_M', { slots_free: 4, decode_tokens_per_second: 58 })] }),
  node('studio', { models: ['all-MiniLM-L6-v2', 'Qwen3-8B-Q5_K_M'], offers: [offer('all-MiniLM-L6-v2', { context_tokens: 512, decode_tokens_per_second: 0 }), offer('Qwen3-8B-Q5_K_M', { slots_free: 0, restarts: 1, trouble: 'the engine ran out of memory and was started again with fewer slots' })], network: network({ nat: 'open', ipv6: true }) }),
]
const member = (name, more) => ({ peer: peer(name), name, role: 'node', connected: true, expires_at: ago(-2e6), joined_at: ago(9e5), revoked_at: null, ...more })
const state = {
  members: [...['workshop', 'attic', 'lab-03', 'studio'].map((name) => member(name)), member('old laptop', { connected: false, expires_at: null, joined_at: ago(8e6) }), member('somebody', { connected: false, expires_at: null, revoked_at: ago(4e5) }), member('gateway-2', { role: 'gateway' })],
  invites: [
    { id: 'i1', label: 'the lab', role: 'node', max_uses: 5, uses: 2, created_at: ago(4e5), expires_at: ago(-2e5), revoked_at: null },
    { id: 'i2', label: '', role: 'node', max_uses: 1, uses: 1, created_at: ago(9e5), expires_at: ago(-1e5), revoked_at: null },
    { id: 'i3', label: 'second gateway', role: 'gateway', max_uses: 1, uses: 0, created_at: ago(9e5), expires_at: ago(1e5), revoked_at: ago(3e5) },
  ],
  invitations: [{ id: 'v1', label: 'for Ada', role: 'worker', max_uses: 1, uses: 0, created_at: ago(1e5), expires_at: ago(-5e5) }],
  people: ['ada', 'grace', 'linus', 'margaret'].map((username, n) => ({ id: `p${n}`, username, role: n === 1 ? 'worker' : 'user', created_at: ago(1e6 * (n + 1)), disabled: n === 2 })),
  mine: [],
  joins: 8,
}

const wave = (at, length, seed) => Math.max(0, Math.sin(at / length + seed) + Math.sin(at / (length / 3.7) + seed * 2) * 0.4 + 0.9)
function sample(at, step, samples) {
  const load = wave(at, samples / 9, 1)
  const begun = Math.round(load * step * 0.2)
  const quiet = at > samples * 0.3 && at < samples * 0.34
  return { at: ago((samples - 1 - at) * step), tokens_per_second: quiet ? 0 : load * 210 + wave(at, 5, 2) * 14, running: quiet ? 0 : Math.round(load * 7), waiting: Math.max(0, Math.round((load - 1.7) * 7)), ended: begun, errors: at % 97 === 40 ? 2 : at % 61 === 7 ? 1 : 0, begun: quiet ? 0 : begun, relayed: quiet ? 0 : Math.round(begun * 0.22), first_token_p50_ms: quiet || begun === 0 ? null : 140 + load * 160, first_token_p95_ms: quiet || begun === 0 ? null : 320 + load * load * 420 }
}
function figures(span) {
  const [step, samples] = span === 'day' ? [300, 288] : [10, 360]
  return { span, step_seconds: step, since: ago(90_000), samples: Array.from({ length: samples }, (_, at) => sample(at, step, samples)) }
}
const limit = (name, unit, most, burst, option) => ({ name, unit, most, burst, option })
const actions = ['node_drained', 'invite_made', 'user_changed', 'invitation_made', 'member_revoked', 'user_deleted', 'set_up']

function makeInvite({ label = '', max_uses = 1, expires_in_seconds = 604_800, role = 'node' }) {
  const invite = { id: `i${Date.now()}`, label, role, max_uses, uses: 0, created_at: now(), expires_at: ago(-expires_in_seconds), revoked_at: null }
  state.invites.unshift(invite)
  const mine = { peer: peer('new-node'), name: 'kitchen', joined_at: now(), revoked_at: null, invite: invite.id, now: null }
  setTimeout(() => { invite.uses = 1; state.mine.unshift(mine) }, state.joins * 1000)
  setTimeout(() => { mine.now = node('kitchen', { peer: mine.peer }) }, state.joins * 1500)
  return ok({ invite, text: `starling-invite-${'k7mQ2xVbT9nHcL4sWzR8yJpDfA3eGu6i'.repeat(7)}`, installs: { origin: 'https://chat.example.org', linux: true, windows: true } }, 201)
}

/** Routes that depend on who asks: the person signed in is first in the list. */
export const operatorRoutes = (me) => ({
  'GET /api/figures': (_, __, query) => ok(figures(query.get('span') ?? 'hour')),
  'GET /api/limits': () => ok({ sign_up: 'invitation', limits: [limit('address', 'requests_per_minute', 6000, 1500, 'limit-address'), limit('user', 'requests_per_minute', 1200, 300, 'limit-user'), limit('key', 'requests_per_minute', null, null, 'limit-key'), limit('sign_in', 'requests_per_minute', 30, 60, 'limit-sign-in'), limit('sign_up', 'requests_per_minute', 2, 10, 'limit-sign-up'), limit('access_token', 'minutes', 10, null, 'access-minutes'), limit('answers', 'each', 4, null, null), limit('keys', 'each', 32, null, null), limit('facts', 'each', 1000, null, null)] }),
  'GET /api/members': () => ok({ swarm: 'ab'.repeat(32), members: state.members, refused: [{ reason: 'forged', count: 3 }] }),
  'DELETE /api/members/:id': (_, id) => { Object.assign(state.members.find((one) => one.peer === id) ?? {}, { revoked_at: now(), connected: false }); return done },
  'PATCH /api/nodes/:id': ({ drained }, id) => { Object.assign(nodes.find((one) => one.peer === id) ?? {}, { drained }); return done },
  'GET /api/invites': () => ok({ invites: state.invites, authority: true }),
  'POST /api/invites': makeInvite,
  'DELETE /api/invites/:id': (_, id) => { Object.assign(state.invites.find((one) => one.id === id) ?? {}, { revoked_at: now() }); return done },
  'GET /api/invitations': () => ok({ invitations: state.invitations }),
  'POST /api/invitations': ({ label = '', role = 'user', max_uses = 1 }) => {
    const invitation = { id: `v${Date.now()}`, label, role, max_uses, uses: 0, created_at: now(), expires_at: ago(-604_800) }
    state.invitations.unshift(invitation)
    return ok({ invitation, text: 'starling-account-mock' }, 201)
  },
  'DELETE /api/invitations/:id': (_, id) => { state.invitations = state.invitations.filter((one) => one.id !== id); return done },
  'GET /api/audit': (_, __, query) => ok({ entries: query.get('before') ? [] : Array.from({ length: 50 }, (_, n) => ({ id: `a${n}`, at: ago(n * 7000 + 60), actor: n % 3 ? me().username : 'grace', action: actions[n % actions.length], target: n % 2 ? 'margaret' : peer('attic'), from: '192.0.2.7' })).filter((one) => !query.get('action') || one.action === query.get('action')) }),
  'GET /api/my/nodes': () => ok({ nodes: [...state.mine, { peer: peer('attic'), name: 'attic', joined_at: ago(9e5), revoked_at: null, invite: 'i1', now: nodes[1] }, { peer: peer('old laptop'), name: 'old laptop', joined_at: ago(8e6), revoked_at: null, invite: null, now: null }] }),
  'GET /api/account/export': () => ok({ format: 'starling-account', version: 1, account: { person: me() }, characters: [], memories: [], conversations: [] }),
  'GET /api/users': () => ok({ users: [{ ...me(), created_at: ago(9e6), disabled: false }, ...state.people] }),
  'PATCH /api/users/:id': (change, id) => { const one = Object.assign(state.people.find((each) => each.id === id) ?? {}, change); return ok({ user: one }) },
  'DELETE /api/users/:id': (_, id) => { state.people = state.people.filter((one) => one.id !== id); return done },
})
