// The line that makes a machine a node: the one place where it is made, for every system.

export type System = 'linux' | 'windows'

const PROGRAM: Record<System, string> = { linux: './starling-node', windows: '.\\starling-node.exe' }

/** For a machine on which the program lies in the folder where one is. */
export function joinCommand(system: System, invite: string): string {
  return `${PROGRAM[system]} join ${invite}`
}

/** What one adds to it for a model of one's own. */
export const WITH_MODEL = '--model path/to/model.gguf'

/** What the reader sits at is a guess at what the new machine is. */
export function likelySystem(agent: string): System {
  return /windows/i.test(agent) ? 'windows' : 'linux'
}
