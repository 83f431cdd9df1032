import type { Kysely } from 'kysely'
import { idParameters } from '../../api/common.ts'
import * as api from '../../api/teams.ts'
import { tenantUnknown, unauthenticated } from '../../http/access.ts'
import { assertUnchanged } from '../../http/etag.ts'
import { requireUser } from '../../http/gate.ts'
import { applicationRoute, type Route, tenantRoute } from '../../http/route.ts'
import { selectionCookie } from '../../http/selected-organization.ts'
import type { Services } from '../module.ts'
import {
  assertAdmin,
  createOrganization,
  describe,
  listOrganizations,
  readOrganization,
  type TeamsOptions,
} from './organizations.ts'
import { whileOwnersStay } from './owners.ts'
import type { TeamsTables } from './tables.ts'

/** Organizations: of the caller, and the one that a request names. */
export function organizationRoutes(
  services: Services,
  options: TeamsOptions,
  db: Kysely<TeamsTables>,
): readonly Route[] {
  return [...ownRoutes(services, options), selectionRoute(services), ...namedRoutes(services, db)]
}

function ownRoutes(services: Services, options: TeamsOptions): readonly Route[] {
  const { tenancy, gate } = services
  return [
    applicationRoute({
      method: 'GET',
      path: '/organizations',
      summary: 'The organizations that the caller is a member of',
      access: 'user',
      query: api.organizationList,
      answers: { 200: api.organizationPage },
      handle: ({ caller, query }) => listOrganizations(tenancy, requireUser(caller), query.after ?? ''),
    }),
    applicationRoute({
      method: 'POST',
      path: '/organizations',
      summary: 'Makes an organization, with the caller as its owner',
      access: 'user',
      rate: 'costly',
      body: api.organizationCreate,
      answers: { 201: api.organization, 202: api.organization },
      status: 201,
      handle: async ({ caller, body, reply }) => {
        const person = await gate.find(requireUser(caller))
        if (caller === null || person === null) throw unauthenticated()
        const { parent } = body
        const above = parent === undefined ? null : assertAdmin(parent, await gate.admit(parent, caller))
        const wanted = { ...body, parent: above?.tenantId }
        return await createOrganization(services, options, person, wanted, reply)
      },
    }),
    applicationRoute({
      method: 'GET',
      path: '/organizations/:id',
      summary: 'An organization and its state, from the first moment on',
      access: 'user',
      params: idParameters,
      answers: { 200: api.organization },
      handle: async ({ caller, params: { id } }) => {
        const standing = caller && (await gate.admit(id, caller))
        if (standing === null) throw tenantUnknown(id)
        return await readOrganization(tenancy, standing)
      },
    }),
  ]
}

function selectionRoute({ tenancy, gate, baseUrl }: Services): Route {
  return applicationRoute({
    method: 'POST',
    path: '/organizations/:id/select',
    summary: 'Has the session name this organization wherever a request names none',
    access: 'user',
    params: idParameters,
    answers: { 200: api.organization },
    handle: async ({ caller, params: { id }, reply }) => {
      const standing = caller && (await gate.admit(id, caller))
      if (standing === null) throw tenantUnknown(id)
      reply.header('set-cookie', selectionCookie(standing.tenantId, baseUrl))
      return await readOrganization(tenancy, standing)
    },
  })
}

function namedRoutes({ tenancy }: Services, db: Kysely<TeamsTables>): readonly Route[] {
  return [
    tenantRoute({
      method: 'GET',
      path: '/organization',
      summary: 'The organization, and what the caller is in it',
      access: 'viewer',
      answers: { 200: api.organization },
      handle: ({ here }) => readOrganization(tenancy, here()),
    }),
    tenantRoute({
      method: 'PATCH',
      path: '/organization',
      summary: 'Changes name or slug',
      access: 'admin',
      body: api.organizationChange,
      answers: { 200: api.organization },
      handle: async ({ request, here, body: { name, slug } }) => {
        const { tenantId, role } = here()
        const names = { ...(name !== undefined && { name }), ...(slug !== undefined && { slug }) }
        return await whileOwnersStay(db, [tenantId], async () => {
          // Under the lock: of two that saw it as it was, the second one is to see what the first one made of it.
          const current = await readOrganization(tenancy, here())
          assertUnchanged(request, JSON.stringify(api.organization.encode(current)))
          return describe(await tenancy.tenants.rename(tenantId, names), role)
        })
      },
    }),
  ]
}
