import { area } from '../area'
import { chat as en } from './en'

export const chat = area(en, () => import('./de').then((m) => m.chat))
