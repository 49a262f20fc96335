import { area } from '../area'
import { topology as en } from './en'

export const topology = area(en, () => import('./de').then((m) => m.topology))
