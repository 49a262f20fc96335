import { area } from '../area'
import { characters as en } from './en'

export const characters = area(en, () => import('./de').then((m) => m.characters))
