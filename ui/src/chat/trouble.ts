// What a chat says when the line or the store is not there.
import type { ErrorBody } from '../wire'

export const LINE_DOWN: ErrorBody = {
  code: 'not_connected',
  message: 'There is no connection to the gateway, so nothing was sent. Your text is back in the box.',
}
export const NOT_GONE_ON: ErrorBody = {
  code: 'not_connected',
  message: 'There is no connection to the gateway right now. The answer is kept and can go on later.',
}
export const NOT_AGAIN: ErrorBody = {
  code: 'not_connected',
  message: 'There is no connection to the gateway right now. The answer is as it was.',
}
export const GONE: ErrorBody = { code: 'no_such_conversation', message: 'The conversation was deleted.' }
export const LINE_LOST: ErrorBody = {
  code: 'connection_lost',
  message: 'The connection was lost before the gateway confirmed your message. Your text is back in the box.',
}

/** What the gateway said, or that it said nothing. */
export function told(cause: unknown): ErrorBody {
  return (cause as { body?: ErrorBody }).body ?? { code: 'unknown', message: 'The conversation could not be loaded.' }
}
