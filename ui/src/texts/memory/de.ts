import { plural } from '../common/de'
import { percent, shortDate, whole } from '../formats'
import type { memory as en } from './en'

export const memory: typeof en = {
  title: 'Gedächtnis',
  lead: 'Tatsachen, die du hier aufschreibst, und was in deinen Unterhaltungen gesagt wurde. Was zu einer Frage passt, bekommt das Modell mit ihr zu lesen; unter der Antwort steht, was es war.',
  failed: 'Die Erinnerungen konnten nicht geladen werden.',
  addLabel: 'Merke dir, dass…',
  add: 'Merken',
  find: 'Nach Bedeutung suchen',
  nothingLike: 'Nichts Ähnliches.',
  nothing: 'Noch nichts.',
  removeAllTitle: 'Alle Erinnerungen löschen?',
  removeTitle: 'Diese Erinnerung löschen?',
  removeAllText: 'Alle Tatsachen, und alles, was vom Gesagten gemerkt wurde. Die Unterhaltungen selbst bleiben.',
  removeText: (text) => `„${text}“ wird nicht mehr verwendet.`,
  toggle: 'Merken und verwenden. Ausgeschaltet wird nichts Neues gemerkt und deinen Fragen nichts vorangestellt; was hier steht, bleibt, bis du es löschst.',
  counts: (standing) =>
    `${plural(standing.facts, 'Tatsache', 'Tatsachen')} von ${whole(standing.max_facts)} · ${plural(standing.passages, 'Abschnitt', 'Abschnitte')} von Gesagtem`,
  removeAll: 'Alle löschen',
  conversation: 'zur Unterhaltung',
  changeOne: (text) => `„${text}“ ändern`,
  removeOne: (text) => `„${text}“ löschen`,
  editTitle: 'Ändern, was gemerkt ist',
  editLabel: 'Was gemerkt ist',
  facts: (memory) => {
    const from = memory.kind === 'fact' ? `eine Tatsache, ${shortDate(memory.updated_at)}` : `gesagt am ${shortDate(memory.created_at)},`
    return memory.similarity === null ? from : `${percent(Math.round(memory.similarity * 100) / 100)} ähnlich · ${from}`
  },
  waits: ({ waiting, model }) => {
    if (waiting === 0) return ''
    return model ? `${whole(waiting)} werden gelesen` : `${whole(waiting)} warten auf einen Knoten, der Vektoren macht; bis dahin werden sie nicht gefunden`
  },
}
