import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Access } from '../src/net/access'
import { ApiError } from '../src/net/http'
import type { SessionAnswer } from '../src/wire'

const user = { id: 'u', username: 'anna', role: 'user' as const }
const answer = (token: string): SessionAnswer => ({ user, access_token: token, expires_in: 600 })
const refusal = (status: number) => new ApiError(status, { code: 'x', message: 'x' })

function holder(answers: (string | Error)[]) {
  let asked = 0
  const access = new Access(
    async () => {
      const next = answers[asked]
      asked += 1
      if (typeof next === 'string') return answer(next)
      throw next ?? refusal(401)
    },
    (act) => act(),
  )
  const renewed: string[] = []
  const ended = vi.fn()
  access.onRenewed = (token) => renewed.push(token)
  access.onEnded = ended
  return { access, renewed, ended, asked: () => asked }
}

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

describe('the access token', () => {
  it('is asked for once, however many want it', async () => {
    const { access, asked } = holder(['a'])
    const [one, two] = await Promise.all([access.refresh(), access.refresh()])
    expect(one).toBe(two)
    expect(asked()).toBe(1)
    expect(access.token).toBe('a')
  })

  it('is renewed before it runs out, and again', async () => {
    const { access, renewed } = holder(['b', 'c'])
    access.enter(answer('a'))
    await vi.advanceTimersByTimeAsync(479_000)
    expect(renewed).toEqual(['a'])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(renewed).toEqual(['a', 'b'])
    await vi.advanceTimersByTimeAsync(480_000)
    expect(access.token).toBe('c')
  })

  it('is tried for again when the gateway is away, and the session is not over', async () => {
    const { access, renewed, ended } = holder([refusal(0), refusal(503), 'b'])
    access.enter(answer('a'))
    await vi.advanceTimersByTimeAsync(480_000 + 30_000)
    expect(renewed).toEqual(['a', 'b'])
    expect(ended).not.toHaveBeenCalled()
  })

  it('ends with the session, once', async () => {
    const { access, ended } = holder([refusal(401)])
    access.enter(answer('a'))
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(access.token).toBe(null)
    expect(ended).toHaveBeenCalledTimes(1)
  })

  it('of somebody who has left is not taken up again', async () => {
    let give: (answer: SessionAnswer) => void = () => {}
    const access = new Access(() => new Promise((done) => { give = done }), (act) => act())
    access.enter(answer('a'))
    const asked = access.refresh()
    access.leave()
    give(answer('b'))
    await asked
    expect(access.token).toBe(null)
  })
})
