import { afterEach, describe, expect, it, vi } from 'vitest'
import { isWhole, loadAnew } from '../src/stale'

afterEach(() => sessionStorage.clear())

describe('a part of the page that is gone', () => {
  const gone = new TypeError('Failed to fetch dynamically imported module: https://x/assets/MemoryPage-1.js')

  it('brings the page of now, once for an address', () => {
    const go = vi.fn()
    expect(loadAnew(gone, '/memory', go)).toBe(true)
    expect(loadAnew(gone, '/memory', go)).toBe(false)
    expect(go.mock.calls).toEqual([['/memory']])
    isWhole()
    expect(loadAnew(gone, '/memory', go)).toBe(true)
  })

  it('is told from other troubles', () => {
    const go = vi.fn()
    for (const other of [new Error('no such key'), 'Failed to fetch dynamically imported module', null]) expect(loadAnew(other, '/x', go)).toBe(false)
    expect(go).not.toHaveBeenCalled()
  })
})
