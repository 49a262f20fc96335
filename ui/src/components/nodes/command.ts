// The line that makes a machine a node: the one place where it is made, for every system.
import type { Installs } from '../../wire'

export type System = 'linux' | 'windows'

const PROGRAM: Record<System, string> = { linux: './starling-node', windows: '.\\starling-node.exe' }

/** Whether the gateway has a script and a package for that system. */
export function isInstalled(system: System, installs: Installs | null): installs is Installs {
  return installs !== null && installs[system]
}

/** Installs and joins where the gateway hands out programs; else for a machine on which the program lies in the folder where one is. */
export function nodeCommand(system: System, invite: string, installs: Installs | null): string {
  if (!isInstalled(system, installs)) return `${PROGRAM[system]} join ${invite}`
  return system === 'linux'
    ? `curl -fsSL ${installs.origin}/install.sh | sudo sh -s -- ${invite}`
    : `$env:STARLING_INVITE='${invite}'; irm ${installs.origin}/install.ps1 | iex`
}

/** What one adds to it for a model of one's own; the installer of Windows wants it before it. */
export function modelWords(system: System, installs: Installs | null): { text: string; before: boolean } {
  return system === 'windows' && isInstalled(system, installs)
    ? { text: "$env:STARLING_MODEL='C:\\path\\to\\model.gguf';", before: true }
    : { text: '--model path/to/model.gguf', before: false }
}

/** What the reader sits at is a guess at what the new machine is. */
export function likelySystem(agent: string): System {
  return /windows/i.test(agent) ? 'windows' : 'linux'
}
