import { area } from '../area'
import { operator as en } from './en'

export const operator = area(en, () => import('./de').then((m) => m.operator))
