import type { Kysely } from 'kysely'
import { idParameters } from '../../api/common.ts'
import * as api from '../../api/teams.ts'
import { unauthenticated } from '../../http/access.ts'
import { requireUser } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route, tenantRoute } from '../../http/route.ts'
import type { Services } from '../module.ts'
import { accept, invite, listInvitations, revoke } from './invitations.ts'
import { describe } from './organizations.ts'
import type { TeamsTables } from './tables.ts'

export function invitationRoutes(services: Services, db: Kysely<TeamsTables>): readonly Route[] {
  const { tenancy, gate } = services
  return [
    tenantRoute({
      method: 'GET',
      path: '/invitations',
      summary: 'Who has been asked, and has not answered',
      access: 'admin',
      answers: { 200: api.invitationPage },
      handle: async ({ here }) => ({ items: await listInvitations(db, here().tenantId) }),
    }),
    tenantRoute({
      method: 'POST',
      path: '/invitations',
      summary: 'Asks somebody by mail to become a member, in a role of the caller or less',
      access: 'admin',
      rate: 'costly',
      body: api.invitationCreate,
      answers: { 201: api.invitation },
      handle: ({ here, caller, body }) =>
        invite(services, db, { ...here(), by: caller?.userId ?? null }, body),
    }),
    tenantRoute({
      method: 'DELETE',
      path: '/invitations/:id',
      summary: 'Revokes an invitation',
      access: 'admin',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ here, params }) => {
        if (await revoke(db, here().tenantId, params.id)) return
        throw new ProblemError(404, 'NOT_FOUND', 'No such invitation')
      },
    }),
    applicationRoute({
      method: 'POST',
      path: '/invitations/accept',
      summary: 'Becomes a member with the token of the mail',
      access: 'user',
      rate: 'sign-in',
      body: api.invitationAcceptance,
      answers: { 200: api.organization },
      handle: async ({ caller, body: { token } }) => {
        const person = await gate.find(requireUser(caller))
        if (person === null) throw unauthenticated()
        const tenantId = await accept(services, db, person, token)
        const [own] = await tenancy.members.lineage(tenantId, person.id)
        return describe(await tenancy.tenants.get(tenantId), own?.role ?? 'viewer')
      },
    }),
  ]
}
