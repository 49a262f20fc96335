import { area } from '../area'
import { account as en } from './en'

export const account = area(en, () => import('./de').then((m) => m.account))
