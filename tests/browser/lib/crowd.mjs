// Many real nodes in one process (`swarm nodes`), for scenarios that need more than a handful.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const PROGRAMS = resolve(process.env.STARLING_PROGRAMS ?? 'target/debug')
const HOLD = process.env.STARLING_HOLD

export class Crowd {
  /** Nobody yet; the nodes that `order('start', …)` brings belong to this swarm and compute as `script` says. */
  static async start(swarm, script) {
    const path = join(PROGRAMS, 'swarm')
    if (!existsSync(path)) throw new Error(`there is no ${path}: \`cargo build -p starling-tests\` makes it`)
    const args = ['nodes', '--swarm-key', join(swarm.dir, 'gateway', 'swarm.key'), '--scripted', script, ...swarm.known]
    const line = HOLD ? [HOLD, 'hold', String(process.pid), path, ...args] : [path, ...args]
    const crowd = new Crowd()
    crowd.swarm = swarm
    crowd.killed = 0
    crowd.child = spawn(line[0], line.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] })
    // One that the scenario forgets ends with it.
    crowd.child.stdin.on('error', () => {})
    swarm.parts.set('crowd', crowd)
    return crowd
  }

  /** `start`, `leave` or `kill`, so many times. The oldest nodes end first. */
  order(what, times = 1) {
    if (what === 'kill') this.killed += times
    this.child.stdin.write(`${what}\n`.repeat(times))
  }

  /** Answers that go on one after another until the crowd is stopped, so that there is one on some node at any time. */
  async ask(key, at = 12) {
    const body = JSON.stringify({ model: 'scripted', messages: [{ role: 'user', content: 'Tell me a long story' }] })
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const one = async () => {
      while (!this.over) await fetch(`${this.swarm.url}/v1/chat/completions`, { method: 'POST', headers, body }).then((answer) => answer.text(), () => {})
    }
    await Promise.all(Array.from({ length: at }, one))
  }

  async stop() {
    this.over = true
    this.child.kill()
  }
}
