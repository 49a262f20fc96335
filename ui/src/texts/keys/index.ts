import { area } from '../area'
import { keys as en } from './en'

export const keys = area(en, () => import('./de').then((m) => m.keys))
