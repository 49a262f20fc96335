import { area } from '../area'
import { memory as en } from './en'

export const memory = area(en, () => import('./de').then((m) => m.memory))
