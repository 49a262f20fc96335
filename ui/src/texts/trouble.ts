// What went wrong, in the page's language where it has words for it, else in the gateway's own.
import type { ErrorBody } from '../wire'
import { common } from './common'
import { sentence } from './formats'

export function errorTitle(error: Pick<ErrorBody, 'code'>): string {
  const { titles, otherTitle } = common.texts.value
  return titles[error.code] ?? otherTitle
}

/** Of an error with the gateway's code, or of any other. */
export function reason(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  const status = typeof code === 'string' ? /^http_(\d+)$/.exec(code)?.[1] : undefined
  if (status) return common.texts.value.status(status)
  const ours = typeof code === 'string' ? common.texts.value.reasons[code] : undefined
  return ours ?? sentence(typeof message === 'string' ? message : '')
}
