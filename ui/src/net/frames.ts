// Reads one server frame. What is not a frame we know gives null: the socket goes on without it.
import type { ServerFrame } from '../wire'

type Check = (value: unknown) => boolean

const text: Check = (v) => typeof v === 'string'
const number: Check = (v) => typeof v === 'number' && Number.isFinite(v)
const texts: Check = (v) => Array.isArray(v) && v.every(text)
const orNull = (check: Check): Check => (v) => v === null || v === undefined || check(v)
const shape = (fields: Record<string, Check>): Check => (v) =>
  typeof v === 'object' && v !== null &&
  Object.entries(fields).every(([name, check]) => check((v as Record<string, unknown>)[name]))

const error = shape({ code: text, message: text })
const message = shape({ id: text, role: text, text: text, created_at: text, status: text, parent: orNull(text), versions: texts })
const conversation = shape({ id: text, title: text })
const list = (check: Check): Check => (v) => Array.isArray(v) && v.every(check)
const peer = shape({ id: number, role: text, peer: text, name: text, nat: text, gpu: text, models: texts, slots: number })
const pulse: Check = (v) => Array.isArray(v) && number(v[0]) && text(v[1]) && orNull(number)(v[2]) && number(v[3]) && number(v[4])
const event = shape({ at_ms: number, what: text })

const known: Record<ServerFrame['type'], Check> = {
  hello: shape({ version: number, swarm: shape({ nodes: number, models: texts }) }),
  swarm: shape({ nodes: number, models: texts }),
  accepted: shape({ conversation, message, turn: text }),
  waiting: shape({ turn: text, position: number, seconds: number }),
  loading_model: shape({ turn: text, node_name: text, model: text, permille: number }),
  started: shape({ turn: text, conversation: text, node_name: text, model: text, nodes: texts }),
  thinking: shape({ turn: text }),
  piece: shape({ turn: text, from: number, seq: number, text: text }),
  done: shape({ turn: text, conversation: text, message }),
  failed: shape({ turn: orNull(text), request: orNull(text), conversation: orNull(text), error, message: orNull(message) }),
  titled: shape({ conversation }),
  changed: shape({ conversation }),
  deleted: shape({ conversation: text }),
  reread: shape({ conversation: text }),
  began: shape({ conversation: text, turn: text }),
  ended: shape({ conversation: text, turn: text }),
  missed: shape({}),
  idle: shape({ conversation: text }),
  picture: shape({ at_ms: number, now_ms: number, me: number }),
  changes: shape({ at_ms: number, peers: list(peer), gone: list(number), pulses: list(pulse), events: list(event), totals: shape({ nodes: number, running: number, waiting: number }) }),
  node: shape({ peer: text, node: orNull(shape({ peer: text, name: text })) }),
  error: shape({ error }),
}

export function readFrame(data: unknown): ServerFrame | null {
  if (typeof data !== 'string') return null
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return null
  }
  const type = (value as { type?: unknown } | null)?.type
  if (typeof type !== 'string' || !Object.hasOwn(known, type)) return null
  return known[type as ServerFrame['type']](value) ? (value as ServerFrame) : null
}
