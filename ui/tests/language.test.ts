import { afterEach, describe, expect, it, vi } from 'vitest'
import { useTexts } from '../src/texts'
import { area } from '../src/texts/area'
import { common } from '../src/texts/common'
import { milliseconds, percent, shortDate } from '../src/texts/formats'
import { useLanguage } from '../src/texts/language'
import { reason } from '../src/texts/trouble'

const { choose, language } = useLanguage()
afterEach(() => choose('browser'))

describe('the language', () => {
  it('is the browser’s until one is picked, and the page says which it is', async () => {
    expect(language.value).toBe('en')
    const c = useTexts(common)
    expect(c.value.cancel).toBe('Cancel')
    choose('de')
    await common.ready()
    expect(c.value.cancel).toBe('Abbrechen')
    expect(document.documentElement.lang).toBe('de')
    choose('browser')
    expect(c.value.cancel).toBe('Cancel')
    expect(document.documentElement.lang).toBe('en')
  })

  it('writes numbers and dates as it does', () => {
    expect([milliseconds(1234), percent(0.404), shortDate('2026-11-05T12:00:00Z')]).toEqual(['1.2 s', '40%', 'Nov 5, 2026'])
    choose('de')
    expect([milliseconds(1234), percent(0.404), shortDate('2026-11-05T12:00:00Z')]).toEqual(['1,2 s', '40\u00a0%', '5. Nov. 2026'])
  })

  it('stays English where the other cannot be had, and asks again', async () => {
    const fetch = vi.fn().mockRejectedValueOnce(new Error('offline')).mockResolvedValue({ word: 'Wort' })
    const words = area({ word: 'word' }, fetch)
    choose('de')
    await words.ready()
    expect(words.texts.value.word).toBe('word')
    await words.ready()
    expect(words.texts.value.word).toBe('Wort')
    expect(fetch).toHaveBeenCalledTimes(2)
  })

  it('says an error in its own words where it has some, else in the gateway’s', async () => {
    const known = { code: 'wrong_credentials', message: 'name or password is wrong' }
    expect(reason(known)).toBe('Name or password is wrong.')
    choose('de')
    await common.ready()
    expect(reason(known)).toBe('Name oder Passwort stimmt nicht.')
    expect(reason({ code: 'nobody_knows', message: 'it broke' })).toBe('It broke.')
    expect(reason(null)).toBe('')
  })
})

/** Every sentence of each area, by its path; functions count as one. */
function paths(texts: object, at = ''): string[] {
  return Object.entries(texts).flatMap(([name, value]) => {
    if (typeof value === 'object' && value !== null) return paths(value, `${at}/${name}`)
    expect(value, `${at}/${name}`).not.toBe('')
    return [`${at}/${name}`]
  })
}

describe('every area', () => {
  const english = import.meta.glob('../src/texts/*/en.ts', { eager: true })
  const german = import.meta.glob('../src/texts/*/de.ts', { eager: true })

  it.each(Object.keys(english))('%s says in German all that it says in English', (file) => {
    const name = file.split('/').at(-2) ?? ''
    const [here, there] = [english[file], german[file.replace('en.ts', 'de.ts')]] as Record<string, object>[]
    // What the gateway says in English needs no other English words; titles and reasons fall back on their own.
    const all = (texts: object | undefined) => paths(texts ?? {}).filter((path) => !/^\/(reasons|titles)\//.test(path))
    expect(all(there?.[name])).toEqual(all(here?.[name]))
  })
})
