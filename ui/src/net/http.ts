// One request to the gateway and what came of it. Knows HTTP and nothing of who is signed in.
import type { ErrorBody } from '../wire'

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

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** The response, when it is a good one. */
export async function send(method: Method, path: string, token: string | null, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (token) headers['authorization'] = `Bearer ${token}`
  const init: RequestInit = { method, headers, credentials: 'same-origin' }
  if (method !== 'GET') {
    // The gateway takes a change only as JSON: a form on another page cannot send that.
    headers['content-type'] = 'application/json'
    init.body = JSON.stringify(body ?? {})
  }
  const response = await fetch(path, init).catch(() => null)
  if (!response) throw new ApiError(0, UNREACHABLE)
  if (!response.ok) throw new ApiError(response.status, await errorBody(response))
  return response
}

export async function json<T>(response: Response): Promise<T> {
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
