import { area } from '../area'
import { common as en } from './en'

export const common = area(en, () => import('./de').then((m) => m.common))
