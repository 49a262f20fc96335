import type { people as en } from './en'

export const people: typeof en = {
  title: 'Personen',
  inviteAs: 'Jemanden einladen als',
  makeInvitation: 'Einladung anlegen',
  invitation: 'Die Einladung',
  invitationText: 'Für eine Person, eine Woche lang. Sie kann nicht noch einmal gezeigt werden.',
  copyWhat: 'Einladung',
  failed: 'Die Liste konnte nicht geladen werden.',
  name: 'Name',
  since: 'Seit',
  may: 'Darf',
  comesIn: 'Zugang',
  roles: { user: 'nutzen', worker: 'mitarbeiten, mit Knoten', admin: 'verwalten' },
  roleOf: (name) => `Rolle von ${name}`,
  mayComeIn: (name) => `${name} hat Zugang`,
  remove: (name) => `${name} löschen`,
  removeTitle: 'Dieses Konto löschen?',
  removeText: (name) => `„${name}“ und alle Unterhaltungen dieses Kontos sind dann endgültig weg.`,
}
