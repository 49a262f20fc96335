// The part of the gateway's API that those who run it use, and those who bring nodes; and the file with all that is one's own.
import type {
  AuditEntry, FigureList, FigureSpan, Invitation, InvitationAnswer, InviteAnswer, InviteList, LimitList, MemberList, MyNode, NewInvitation, NewInvite,
} from '../wire'
import { ask, call, file } from './api'

const id = encodeURIComponent

export interface AuditFilter { action: string; actor: string }

export const operatorApi = {
  figures: (span: FigureSpan) => call<FigureList>('GET', `/api/figures?span=${span}`),
  limits: () => call<LimitList>('GET', '/api/limits'),
  members: () => call<MemberList>('GET', '/api/members'),
  turnOut: (peer: string) => call<void>('DELETE', `/api/members/${id(peer)}`),
  drain: (peer: string, drained: boolean) => call<void>('PATCH', `/api/nodes/${id(peer)}`, { drained }),
  invites: () => call<InviteList>('GET', '/api/invites'),
  makeInvite: (what: NewInvite) => call<InviteAnswer>('POST', '/api/invites', what),
  revokeInvite: (key: string) => call<void>('DELETE', `/api/invites/${id(key)}`),
  invitations: () => call<{ invitations: Invitation[] }>('GET', '/api/invitations').then((r) => r.invitations),
  makeInvitation: (what: NewInvitation) => call<InvitationAnswer>('POST', '/api/invitations', what),
  withdraw: (key: string) => call<void>('DELETE', `/api/invitations/${id(key)}`),
  audit: (limit: number, before: string | null, { action, actor }: AuditFilter) => {
    const query = new URLSearchParams({ limit: String(limit) })
    if (before) query.set('before', before)
    if (action) query.set('action', action)
    if (actor) query.set('actor', actor)
    return call<{ entries: AuditEntry[] }>('GET', `/api/audit?${query}`).then((r) => r.entries)
  },
  myNodes: () => call<{ nodes: MyNode[] }>('GET', '/api/my/nodes').then((r) => r.nodes),
  everything: () => ask('GET', '/api/account/export').then(file),
}
