// What the chats need of the page around them.
import type { ClientFrame, Conversation, Message } from '../wire'

export interface ChatsOutside {
  send(frame: ClientFrame): boolean
  load(id: string): Promise<{ conversation: Conversation; messages: Message[] }>
  /** Shows the branch through a message. */
  show(message: string): Promise<{ messages: Message[] }>
  /** Something that is shown has changed. */
  changed(): void
  /** The gateway told of a conversation: a new one, or one that moved to the top. */
  touched(conversation: Conversation, fromNew: boolean): void
  /** A conversation was deleted, perhaps in another window. */
  removed(id: string): void
  /** There may be changes that this page was not told of. */
  missed(): void
  newRequest(): string
}
