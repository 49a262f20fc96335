import { area } from '../area'
import { people as en } from './en'

export const people = area(en, () => import('./de').then((m) => m.people))
