import { plural } from '../common/de'
import { whole } from '../formats'
import type { Told, topology as en } from './en'

const number = (answer: number | undefined) => `Antwort ${answer ?? ''}`.trim()

export const topology: typeof en = {
  title: 'Der Schwarm',
  views: 'Wie er gezeigt wird',
  picture: 'Bild',
  list: 'Liste',
  loading: 'Der Schwarm wird gesucht…',
  offline: 'Die Verbindung zum Gateway ist unterbrochen. Zu sehen ist, wie es zuletzt war.',
  nobody: 'Im Moment ist kein Knoten da.',
  more: (shown, all) => `${shown} von ${all} Knoten sind zu sehen.`,
  totals: ({ nodes, running, waiting }, tokens) =>
    [plural(nodes, 'Knoten', 'Knoten'), `${plural(running, 'Antwort läuft', 'Antworten laufen')}`, waiting > 0 ? `${waiting} in der Schlange` : '', `${whole(tokens)} Token/s`].filter(Boolean).join(' · '),
  canvas: (nodes, relayed, busy) =>
    `Der Schwarm als Bild: ${plural(nodes, 'Knoten', 'Knoten')} um das Gateway, davon ${relayed} über ein Relais erreicht und ${busy} bei der Arbeit. Die Liste sagt dasselbe. Die Pfeiltasten gehen von Knoten zu Knoten.`,
  closer: 'Näher',
  farther: 'Weiter weg',
  whole: 'Alles zeigen',
  gateway: 'dieses Gateway',
  otherGateway: 'Gateway',
  bootstrap: 'Bootstrap',
  role: (role): string => ({ node: 'Knoten', gateway: 'Gateway', bootstrap: 'Bootstrap-Peer' })[role],
  nat: (nat): string =>
    ({ open: 'Kein NAT', full_cone: 'Full-Cone-NAT', cone: 'Cone-NAT', symmetric: 'Symmetrisches NAT', unknown: 'NAT nicht bekannt' })[nat],
  link: (link): string => ({ direct: 'direkt', relayed: 'über Relais', none: 'nicht verbunden' })[link],
  legend: 'Was ist was',
  legendDirect: 'direkte Verbindung',
  legendRelayed: 'über ein Relais',
  legendLoad: 'wie voll ein Knoten ist',
  legendTokens: 'Token unterwegs',
  legendMoved: 'eine Antwort zieht um',
  legendTrouble: 'mit Warnung, ohne neue Arbeit oder in Pause',
  timeline: 'Die letzten zehn Minuten',
  live: 'Live',
  goLive: 'Zur Gegenwart',
  play: 'Abspielen',
  pause: 'Anhalten',
  speed: (factor) => `${factor}×`,
  speedLabel: 'Tempo',
  ago: (seconds): string => {
    const past = Math.max(0, Math.round(seconds))
    if (past < 2) return 'jetzt'
    if (past < 60) return `vor ${past} s`
    return `vor ${Math.floor(past / 60)} min ${past % 60} s`
  },
  events: 'Was geschah',
  allEvents: 'jede Antwort, die beginnt und endet',
  noEvents: 'Noch nichts. Knoten, die kommen und gehen, und Antworten, die von einem zum anderen umziehen, stehen hier.',
  event: (what, { peer, from, answer, tokens, reason }: Told): string => ({
    joined: `${peer} ist da`,
    left: `${peer} ist weg`,
    direct: `${peer} wird jetzt direkt erreicht`,
    relayed: `${peer} wird jetzt über ein Relais erreicht`,
    lost: `Die Verbindung zu ${peer} ist abgebrochen`,
    drained: `${peer} bekommt nichts Neues mehr`,
    undrained: `${peer} bekommt wieder Arbeit`,
    paused: `${peer} macht Pause: ${reason}`,
    back: `${peer} ist zurück aus der Pause`,
    models: `${peer} bietet andere Modelle`,
    waits: `${number(answer)} wartet auf einen freien Platz`,
    loads: `${peer} lädt das Modell für Antwort ${answer ?? ''}`,
    began: `${number(answer)} beginnt auf ${peer}`,
    moved: `${number(answer)} zieht ${from ? `von ${from} ` : ''}auf ${peer} um`,
    ended: `${number(answer)} ist fertig${peer ? ` auf ${peer}` : ''}, ${tokens ?? 0} Token`,
    failed: `${number(answer)} brach${peer ? ` auf ${peer}` : ''} nach ${tokens ?? 0} Token ab`,
  })[what],
  somebody: 'einem Knoten, der weg ist',
  close: 'Schließen',
  then: 'Im gezeigten Moment',
  now: 'Gerade jetzt',
  gone: 'Er ist nicht mehr da.',
  notHere: 'Er war in diesem Moment nicht da.',
  columns: { name: 'Name', nat: 'NAT', gpu: 'Rechnet mit', link: 'Verbindung', rtt: 'Umlaufzeit', load: 'Belegte Plätze', tokens: 'Token/s', models: 'Modelle', version: 'Version' },
  load: (used, all) => `${used} von ${all}`,
  find: 'Knoten, Modell, GPU suchen…',
  table: 'Alle Peers',
  rows: (count) => plural(count, 'Peer', 'Peers'),
  showAll: (count) => `Alle ${count} zeigen`,
  sorted: (column, up) => `Geordnet nach ${column}, ${up ? 'aufsteigend' : 'absteigend'}`,
  drained: 'ohne neue Arbeit',
  warned: 'Warnung',
  facts: { role: 'Ist ein', paused: 'Pause', link: 'Verbindung', rtt: 'Umlaufzeit', load: 'Belegte Plätze', tokens: 'Token/s', nat: 'NAT', gpu: 'Rechnet mit', models: 'Modelle', version: 'Version', key: 'Schlüssel' },
  recent: 'Seine letzten Ereignisse',
}
