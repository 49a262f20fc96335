// The real programs on loopback: a bootstrap, a gateway, and nodes that can be killed and started again. Each says on
// its stdout what it has reached (`listening …`, `ready …`); nothing waits for a fixed time.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const PROGRAMS = resolve(process.env.STARLING_PROGRAMS ?? 'target/debug')
const HOLD = process.env.STARLING_HOLD
/** For a very busy computer. */
const START_MS = 120_000
const GRACE_MS = 5_000
const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/udp/0/quic-v1']

class Part {
  constructor(name, program, args, dir) {
    this.name = name
    this.said = []
    this.waiting = new Set()
    const path = join(PROGRAMS, `starling-${program}`)
    const line = HOLD ? [HOLD, 'hold', String(process.pid), path] : [path]
    const all = [...line, ...args, '--data', join(dir, name)]
    this.child = spawn(all[0], all.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stderr.pipe(createWriteStream(join(dir, `${name}.log`), { flags: 'a' }))
    this.ended = new Promise((done) => { this.child.once('exit', done); this.child.once('error', done) })
    createInterface({ input: this.child.stdout }).on('line', (text) => this.heard(text))
    void this.ended.then(() => this.heard('ended'))
  }

  heard(text) {
    const at = text.indexOf(' ')
    this.said.push(at < 0 ? { key: text, value: '' } : { key: text.slice(0, at), value: text.slice(at + 1) })
    for (const look of [...this.waiting]) look()
  }

  all(key) {
    return this.said.filter((fact) => fact.key === key).map((fact) => fact.value)
  }

  /** The last value it has said under a key that `fits`. */
  hears(key, fits = () => true) {
    return new Promise((done, failed) => {
      const timer = setTimeout(() => end(failed, new Error(`${this.name} did not say "${key}" within ${START_MS / 1000} s`)), START_MS)
      const end = (settle, what) => {
        clearTimeout(timer)
        this.waiting.delete(look)
        settle(what)
      }
      const look = () => {
        const value = this.all(key).findLast(fits)
        if (value !== undefined) end(done, value)
        else if (this.said.some((fact) => fact.key === 'ended')) end(failed, new Error(`${this.name} ended while it was waited for`))
      }
      this.waiting.add(look)
      look()
    })
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), GRACE_MS)
    await this.ended
    clearTimeout(timer)
  }
}

export class Swarm {
  static async start({ nodes = [[]], gateway = [] } = {}) {
    const swarm = new Swarm()
    swarm.dir = await mkdtemp(join(tmpdir(), 'starling-browser-'))
    swarm.parts = new Map()
    swarm.gatewayArguments = gateway
    try {
      swarm.begin('bootstrap', 'bootstrap', ['run', ...LISTEN])
      await swarm.of('bootstrap').hears('listening', (address) => address.includes('quic'))
      swarm.known = swarm.of('bootstrap').all('listening').flatMap((address) => ['--bootstrap', address])
      await swarm.startGateway('127.0.0.1:0')
      swarm.invite = swarm.of('gateway').all('invite').at(-1)
      swarm.code = swarm.of('gateway').all('setup-code').at(-1)
      for (const [index, args] of nodes.entries()) await swarm.startNode(`node-${index + 1}`, args)
      await swarm.sees(nodes.length)
      return swarm
    } catch (error) {
      await swarm.stop()
      throw error
    }
  }

  of(name) {
    return this.parts.get(name)
  }

  begin(name, program, args) {
    this.parts.set(name, new Part(name, program, args, this.dir))
  }

  async startGateway(http) {
    this.begin('gateway', 'gateway', ['run', '--http', http, ...this.known, ...this.gatewayArguments])
    this.url = await this.of('gateway').hears('ready')
    this.origin = new URL(this.url).origin
  }

  async startNode(name, args) {
    this.begin(name, 'node', ['join', this.invite, ...this.known, '--name', name, ...args])
    await this.of(name).hears('serving')
  }

  /** The gateway has found so many nodes. */
  async sees(count) {
    if (count > 0) await this.of('gateway').hears('nodes', (number) => Number(number) >= count)
  }

  /** As a power cut does it. */
  async kill(name) {
    await this.of(name).stop('SIGKILL')
  }

  /** The same gateway again, at its address. */
  async restartGateway() {
    await this.kill('gateway')
    await this.startGateway(new URL(this.url).host)
  }

  async stop() {
    await Promise.all([...this.parts.values()].map((part) => part.stop()))
    await rm(this.dir, { recursive: true, force: true })
  }
}
