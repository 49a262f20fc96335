// What a chat says when the line or the store is not there, in the words of the page's language.
import { chat } from '../texts/chat'
import type { ErrorBody } from '../wire'

const words = () => chat.texts.value.trouble

export const lineDown = (): ErrorBody => ({ code: 'not_connected', message: words().lineDown })
export const notGoneOn = (): ErrorBody => ({ code: 'not_connected', message: words().notGoneOn })
export const notAgain = (): ErrorBody => ({ code: 'not_connected', message: words().notAgain })
export const gone = (): ErrorBody => ({ code: 'no_such_conversation', message: words().gone })
export const lineLost = (): ErrorBody => ({ code: 'connection_lost', message: words().lineLost })

/** What the gateway said, or that it said nothing. */
export function told(cause: unknown): ErrorBody {
  return (cause as { body?: ErrorBody }).body ?? { code: 'unknown', message: words().notLoaded }
}
