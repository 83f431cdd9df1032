import type { Kysely } from 'kysely'
import { idParameters } from '../../../api/common.ts'
import * as api from '../../../api/impersonation.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { applicationRoute, type Route, tenantRoute } from '../../../http/route.ts'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { AuthTables } from '../tables.ts'
import { endImpersonation } from './ending.ts'
import { askToImpersonate, redeem } from './impersonation.ts'
import { requireOperator } from './operators.ts'

type Db = Kysely<AuthTables>
type Surroundings = Services & { readonly db: Db }

const unknown = () => new ProblemError(404, 'NOT_FOUND', 'No such impersonation goes on')

/** Operators who act as users: asked for, redeemed, seen and ended. */
export function impersonationRoutes(services: Services, db: Db): readonly Route[] {
  const surroundings = { ...services, db }
  return [
    ...beginningRoutes(surroundings),
    ...operatorRoutes(surroundings),
    stopRoute(surroundings),
    ...organizationRoutes(surroundings),
  ]
}

function beginningRoutes(surroundings: Surroundings): readonly Route[] {
  const { db } = surroundings
  return [
    applicationRoute({
      method: 'POST',
      path: '/operator/impersonations',
      summary: 'Gives an operator a token of one minute, to act as one user in one organization',
      access: 'user',
      body: api.impersonationRequest,
      answers: { 201: api.impersonationToken },
      handle: async ({ caller, request, body, audit }) => {
        const operator = await requireOperator(db, caller)
        const made = await askToImpersonate(surroundings, { ...operator, requestId: request.id }, body)
        audit({ tenantId: made.organization_id })
        return made
      },
    }),
    applicationRoute({
      method: 'POST',
      path: '/operator/impersonations/redeem',
      summary: 'Takes such a token, once, for a credential of half an hour',
      access: 'user',
      rate: 'sign-in',
      body: api.impersonationRedemption,
      answers: { 200: api.impersonationBegun },
      handle: async ({ caller, request, body, audit }) => {
        const asking = { ...(await requireOperator(db, caller)), requestId: request.id }
        return await redeem(surroundings, asking, body.token, ({ id, tenant_id }) =>
          audit({ entity: id, tenantId: tenant_id }),
        )
      },
    }),
  ]
}

function operatorRoutes(surroundings: Surroundings): readonly Route[] {
  const { db } = surroundings
  return [
    applicationRoute({
      method: 'GET',
      path: '/operator/impersonations',
      summary: 'Who acts as whom at this moment, for operators',
      access: 'user',
      answers: { 200: api.impersonations },
      handle: async ({ caller }) => {
        await requireOperator(db, caller)
        return { items: await list(db, 'valid_impersonation').execute() }
      },
    }),
    applicationRoute({
      method: 'DELETE',
      path: '/operator/impersonations/:id',
      summary: 'Ends one, whichever operator began it',
      access: 'user',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ caller, request, params: { id }, audit }) => {
        await requireOperator(db, caller)
        const tenantId = await endImpersonation(surroundings, { id, code: 'ENDED', requestId: request.id })
        if (tenantId === null) throw unknown()
        audit({ tenantId })
      },
    }),
  ]
}

function stopRoute(surroundings: Surroundings): Route {
  return applicationRoute({
    method: 'POST',
    path: '/auth/impersonation/stop',
    summary: 'Ends the impersonation that the caller acts by',
    access: 'user',
    impersonated: true,
    answers: { 204: null },
    handle: async ({ caller, request, audit }) => {
      const { impersonationId: id, tenantId } = caller ?? {}
      const ending = { code: 'STOPPED', requestId: request.id } as const
      if (id === undefined || (await endImpersonation(surroundings, { id, ...ending })) === null)
        throw unknown()
      audit({ entity: id, ...(tenantId != null && { tenantId }) })
    },
  })
}

/** What an organization sees of it, and can do about it. */
function organizationRoutes(surroundings: Surroundings): readonly Route[] {
  const { db } = surroundings
  return [
    tenantRoute({
      method: 'GET',
      path: '/impersonations',
      summary: 'Which operators have acted as members of the organization, as whom, when and why',
      access: 'admin',
      answers: { 200: api.impersonations },
      handle: async ({ here }) => ({
        items: await list(db, 'impersonation').where('tenant_id', '=', here().tenantId).execute(),
      }),
    }),
    tenantRoute({
      method: 'DELETE',
      path: '/impersonations/:id',
      summary: 'Ends one that goes on in the organization',
      access: 'admin',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ here, request, params: { id } }) => {
        const { tenantId } = here()
        const ending = { id, tenantId, code: 'ENDED', requestId: request.id } as const
        if ((await endImpersonation(surroundings, ending)) === null) throw unknown()
      },
    }),
  ]
}

/** The latest first. */
function list(db: Db, table: 'impersonation' | 'valid_impersonation') {
  return db
    .selectFrom(`${table} as each`)
    .select([
      'id',
      'operator_id',
      'user_id',
      'tenant_id as organization_id',
      'reason',
      'asked_at',
      'redeemed_at',
      'expires_at',
      'ended_at',
      'end_code',
    ])
    .orderBy('asked_at', 'desc')
    .orderBy('id')
    .limit(limits.impersonationsListed)
}
