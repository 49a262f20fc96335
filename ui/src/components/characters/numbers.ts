// A number in a field that may be empty.
import { ApiError } from '../../net/api'
import { characters } from '../../texts/characters'

export function numberIn(field: string, text: string, [least, most]: readonly [number, number] = [-Infinity, Infinity]): number | null {
  const words = text.trim().replace(',', '.')
  if (words === '') return null
  const value = Number(words)
  if (Number.isFinite(value) && value >= least && value <= most) return value
  if (Number.isFinite(value)) throw new ApiError(400, { code: 'invalid_field', field, message: characters.texts.value.outOfRange(least, most) })
  throw new ApiError(400, { code: 'invalid_field', field, message: characters.texts.value.notANumber })
}
