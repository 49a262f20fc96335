import type { keys as en } from './en'

export const keys: typeof en = {
  title: 'API-Schlüssel',
  lead: 'Programme nehmen einen Schlüssel statt deines Passworts. Die API ist die, die OpenAI-Clients sprechen.',
  label: 'Wofür ist der Schlüssel?',
  make: 'Schlüssel anlegen',
  revokeTitle: 'Diesen Schlüssel widerrufen?',
  revoke: 'Widerrufen',
  revokeOne: (label) => `${label} widerrufen`,
  revokeText: (label) => `Programme, die „${label}“ benutzen, werden ab dann abgewiesen.`,
  yours: 'Deine Schlüssel',
  failed: 'Die Schlüssel konnten nicht geladen werden.',
  none: 'Noch keine.',
  made: (date) => `angelegt ${date}`,
  lastUsed: (date) => `zuletzt benutzt ${date}`,
  neverUsed: 'nie benutzt',
  newTitle: 'Dein neuer Schlüssel',
  newText: 'Kopiere ihn jetzt. Nur sein Fingerabdruck wird aufbewahrt, darum kann er nicht noch einmal gezeigt werden.',
  copyWhat: 'Schlüssel',
  tryIt: 'Ausprobieren',
  yourKey: 'DEIN_SCHLUESSEL',
  anyClient: ['Jeder OpenAI-Client funktioniert: Gib ihm', 'als Basis-URL.'],
}
