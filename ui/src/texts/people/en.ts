// Accounts, as administrators see them.
import type { UserRole } from '../../wire'

const roles: Record<UserRole, string> = { user: 'user', worker: 'worker, with nodes', admin: 'administrator' }

export const people = {
  title: 'People',
  inviteAs: 'Invite somebody as',
  makeInvitation: 'Make an invitation',
  invitation: 'The invitation',
  invitationText: 'For one person, for a week. It cannot be shown again.',
  copyWhat: 'invitation',
  failed: 'The list could not be loaded.',
  name: 'Name',
  since: 'Since',
  may: 'May',
  comesIn: 'Comes in',
  /** What a person may do, in a word. */
  roles,
  roleOf: (name: string) => `Role of ${name}`,
  mayComeIn: (name: string) => `${name} may come in`,
  remove: (name: string) => `Delete ${name}`,
  removeTitle: 'Delete this account?',
  removeText: (name: string) => `“${name}” and all its conversations will be gone for good.`,
}
