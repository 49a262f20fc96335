import type { ModelView } from '../../wire'
import { plural } from '../common/de'
import { percent, rate, whole } from '../formats'
import type { chat as en } from './en'

const reads = (model: ModelView) => `liest ${whole(model.context_tokens)} Token`

export const chat: typeof en = {
  newTitle: 'Neuer Chat',
  untitled: 'Ohne Titel',
  opening: 'Wird geöffnet…',
  latest: 'Ans Ende',
  with: 'mit',

  list: {
    groups: { found: 'Gefunden', pinned: 'Angeheftet', today: 'Heute', yesterday: 'Gestern', week: 'Diese Woche', month: 'Diesen Monat', earlier: 'Früher' },
    found: (count) => `Gefunden: ${whole(count)}`,
    searchFailed: 'Die Suche hat nicht geklappt. Versuche es gleich noch einmal.',
    failed: 'Die Unterhaltungen konnten nicht geladen werden.',
    none: 'Was du fragst, bleibt hier stehen.',
    nothing: 'Nichts gefunden.',
    more: 'Frühere zeigen',
    search: 'Suchen',
    searchLabel: 'Unterhaltungen durchsuchen',
    import: 'Unterhaltung importieren',
    noFile: 'Diese Datei ist keine Unterhaltung: Wähle eine JSON-Datei, die hier exportiert wurde.',
    removeTitle: 'Diese Unterhaltung löschen?',
    removeText: (title) => `„${title}“ und alle Nachrichten darin sind dann endgültig weg.`,
    actions: (title) => `Aktionen für ${title}`,
    newName: 'Neuer Titel',
    pin: 'Anheften',
    unpin: 'Lösen',
    rename: 'Umbenennen',
    saveMarkdown: 'Als Markdown speichern',
    saveJson: 'Als JSON speichern',
    remove: 'Löschen',
    notSaved: 'Das konnte nicht gespeichert werden. Versuche es gleich noch einmal.',
  },

  composer: {
    label: 'Deine Nachricht',
    placeholder: 'Frag den Schwarm',
    send: 'Senden',
    sendTitle: 'Senden (Enter)',
    stop: 'Antwort anhalten',
    stopTitle: 'Anhalten (Esc)',
    whyAway: 'Nicht verbunden. Du kannst weiterschreiben; gleich lässt sich wieder senden.',
    whyNoNode: 'Kein Knoten ist da, der antworten könnte. Du kannst schon schreiben und senden, sobald einer da ist.',
  },

  empty: {
    noNode: 'Noch ist kein Knoten da',
    noNodeLead: 'Das Gateway läuft, aber es ist noch kein Rechner dazugekommen, der antworten könnte.',
    hello: (name) => `Schön, dich zu sehen, ${name}`,
    lead: 'Frag etwas. Ein Rechner im Schwarm antwortet dir.',
    ideasLabel: 'Mögliche Fragen',
    ideas: ['Wobei kannst du mir helfen?', 'Erkläre Hole Punching in zwei Sätzen', 'Schreibe ein Haiku über Stare'],
    demoIdeas: ['What is the swarm?', 'How do I add a node?', '6 times 8'],
    characters: 'Charaktere zum Reden',
    moreCharacters: 'Weitere Charaktere',
    makeCharacter: 'Einen Charakter anlegen',
  },
  demo: {
    note: 'Hier antwortet ein winziges Demo-Modell: Es kennt den Schwarm und kleine Rechnungen, spricht Englisch und irrt sich oft.',
    add: 'Ein richtiges hinzufügen',
    addTitle: 'Einen Knoten mit größerem Modell hinzufügen',
  },
  link: {
    updated: 'Das Gateway wurde aktualisiert.',
    reload: 'Diese Seite neu laden',
    away: 'Das Gateway ist gerade weg. Was gesagt wurde, bleibt erhalten.',
    next: (seconds) => `Nächster Versuch in ${seconds} s.`,
    connecting: 'Verbindung wird aufgebaut…',
    now: 'Jetzt versuchen',
  },
  trouble: {
    missing: 'Diese Unterhaltung gibt es nicht',
    missingLead: 'Vielleicht wurde sie gelöscht, oder sie gehört jemand anderem.',
    startNew: 'Neuen Chat beginnen',
    failed: 'Die Unterhaltung konnte nicht geladen werden',
    lineDown: 'Es gibt keine Verbindung zum Gateway, darum wurde nichts gesendet. Dein Text steht wieder im Feld.',
    notGoneOn: 'Es gibt gerade keine Verbindung zum Gateway. Die Antwort bleibt erhalten und kann später weitergehen.',
    notAgain: 'Es gibt gerade keine Verbindung zum Gateway. Die Antwort ist, wie sie war.',
    gone: 'Die Unterhaltung wurde gelöscht.',
    lineLost: 'Die Verbindung ging verloren, bevor das Gateway deine Nachricht bestätigt hat. Dein Text steht wieder im Feld.',
    notLoaded: 'Die Unterhaltung konnte nicht geladen werden.',
  },

  model: {
    label: (name) => `Modell: ${name}`,
    demo: 'Demo',
    loading: (model) => `wird geladen, ${percent((model.loading_permille ?? 0) / 1000)} · ${reads(model)}`,
    loadable: (model) => `nicht geladen: die erste Frage wartet darauf · ${reads(model)}`,
    away: (model) => `seine Rechner machen gerade Pause · ${reads(model)}`,
    upTo: (tokensPerSecond) => `bis ${rate(tokensPerSecond)} Token/s`,
    loaded: (model) => `${whole(model.nodes)} Knoten · ${whole(model.slots_free)} von ${whole(model.slots_total)} frei · ${reads(model)}`,
  },

  message: {
    answer: 'Antwort',
    question: 'Du hast gefragt',
    about: 'Über diese Antwort',
    computedOn: 'Was diese Antwort berechnet hat',
    firstAfter: (time) => `erstes nach ${time}`,
    firstTitle: 'Zeit bis zum ersten Token',
    nothingYet: 'Noch wurde nichts gesagt.',
    goOn: 'Weiter',
    askAgain: 'Noch einmal fragen',
    another: 'Andere Antwort',
    branch: 'In neuem Chat weitermachen',
    branchTitle: (title) => `${title} (Zweig)`,
    copyWhat: 'Antwort',
    interrupted: 'Diese Antwort wurde unterbrochen',
    kept: 'Was angekommen war, bleibt erhalten.',
    noneKept: 'Es war noch nichts angekommen.',
    sending: 'Wird gesendet…',
    edit: 'Bearbeiten',
    editLabel: 'Diese Frage bearbeiten',
    yourQuestion: 'Deine Frage',
    askThis: 'Das fragen',
    unanswered: 'Diese Frage hat keine Antwort.',
    conversation: 'Unterhaltung',
    versions: 'Fassungen',
    earlier: 'Frühere Fassung',
    later: 'Spätere Fassung',
    version: (at, of) => `Fassung ${at} von ${of}`,
    code: 'Code',
    text: 'Text',
    ending: (answer) => {
      if (answer?.finish_reason === 'cancelled') return 'Du hast diese Antwort angehalten.'
      return answer?.finish_reason === 'length' ? 'Die Antwort hat die Längengrenze erreicht.' : null
    },
    wentOn: (nodes) => (nodes.length === 2 ? `ging auf ${nodes[1]} weiter` : `ging ${nodes.length - 1}-mal weiter`),
    wentOnStory: ([first, ...others]) => `${first} hat diese Antwort begonnen. ${others.join(', dann ')} hat sie von dort fortgesetzt, wo sie stand.`,
    remembered: (count) => (count === 1 ? '1 Erinnerung' : `${count} Erinnerungen`),
  },

  markdown: { table: 'Tabelle', done: 'erledigt', toDo: 'zu tun', image: 'Bild', noDescription: 'ohne Beschreibung', formula: 'Formel' },

  parameters: {
    title: 'Wie geantwortet wird',
    lead: 'Für diese Unterhaltung. Was leer bleibt, ist so, wie der Charakter oder der Knoten es hat.',
    leadNew: 'Für die Unterhaltung, die deine nächste Frage beginnt. Was leer bleibt, ist so, wie der Knoten es hat.',
    system: 'Was dem Modell zuerst gesagt wird',
    systemHint: 'Es liest dies vor allem anderen. Zum Beispiel: Antworte kurz, und auf Französisch.',
    temperature: 'Temperatur',
    temperatureHint: '0 ist stetig, 2 ist wild.',
    topP: 'Top-p',
    topPHint: '1 sind alle Wörter, weniger die wahrscheinlichen.',
    longest: 'Längste Antwort',
    longestHint: 'In Token.',
    reset: 'Alles leeren',
    open: 'Wie geantwortet wird',
    openSet: 'Wie geantwortet wird (geändert)',
    failed: 'Die Einstellungen konnten nicht geladen werden.',
  },

  palette: {
    title: 'Was möchtest du tun?',
    label: 'Ein Befehl, oder Wörter einer Unterhaltung',
    hint: 'Befehl oder Unterhaltung',
    nothing: 'Nichts dergleichen.',
    commands: 'Befehle',
    conversations: 'Unterhaltungen',
    newChat: 'Neuer Chat',
    model: (name) => `${name} fragen`,
    shortcuts: 'Tastenkürzel',
    parameters: 'Wie geantwortet wird',
  },

  shortcuts: {
    title: 'Tastenkürzel',
    or: 'oder',
    palette: 'Befehl oder Unterhaltung finden',
    newChat: 'Neuer Chat',
    write: 'Schreiben',
    send: 'Senden',
    line: 'Neue Zeile',
    stop: 'Antwort anhalten',
    help: 'Diese Liste',
    close: 'Schließen, was obenauf liegt',
  },

  running: {
    away: 'Das Gateway ist gerade weg. Die Antwort geht weiter, wenn es zurück ist.',
    stopping: 'Wird angehalten…',
    aNode: 'Ein Knoten',
    thinking: (node) => `${node} denkt nach…`,
    reading: (node) => `${node} liest…`,
    looking: 'Ein freier Knoten wird gesucht…',
    loading: (model, node, permille) => `${model} wird auf ${node} geladen… ${percent(permille / 1000)}`,
    waiting: (line) => {
      if (!line) return 'Alle Knoten sind beschäftigt. Deine Frage ist in der Schlange und beginnt, sobald einer frei ist.'
      const place = line.position === 1 ? 'Deine Frage ist die nächste' : `Deine Frage ist Nummer ${whole(line.position)} in der Schlange`
      if (line.seconds < 3) return `Alle Knoten sind beschäftigt. ${place} und beginnt gleich.`
      const time = line.seconds < 90 ? `${line.seconds} Sekunden` : plural(Math.round(line.seconds / 60), 'Minute', 'Minuten')
      return `Alle Knoten sind beschäftigt. ${place} und beginnt in etwa ${time}.`
    },
  },
}
