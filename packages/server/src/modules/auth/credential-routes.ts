import type { Kysely } from 'kysely'
import * as api from '../../api/auth.ts'
import { idParameters } from '../../api/common.ts'
import { lesser, tenantUnknown } from '../../http/access.ts'
import { requireUser } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route, tenantRoute } from '../../http/route.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { assertRoom } from '../room.ts'
import { createKey, deleteKey, listKeys } from './api-keys.ts'
import type { BetterAuth } from './better-auth.ts'
import type { CredentialCache } from './identify.ts'
import { requireSession } from './session-only.ts'
import type { AuthTables } from './tables.ts'

interface Credentials {
  readonly auth: BetterAuth
  readonly db: Kysely<AuthTables>
  readonly cache: CredentialCache
}

const unknownKey = () => new ProblemError(404, 'NOT_FOUND', 'No such API key')

/** What stands for a caller where nobody can type a password. */
export function credentialRoutes(services: Services, credentials: Credentials): readonly Route[] {
  return [
    ...keyRoutes(credentials),
    ...clientRoutes(services, credentials),
    ...tokenRoutes(services, credentials),
  ]
}

function keyRoutes({ db, cache }: Credentials): readonly Route[] {
  const many = { path: '/auth/api-keys', access: 'user' } as const
  return [
    applicationRoute({
      ...many,
      method: 'GET',
      summary: "The caller's API keys",
      answers: { 200: api.apiKeys },
      handle: async ({ caller }) => ({ items: await listKeys(db, { userId: requireSession(caller) }) }),
    }),
    applicationRoute({
      ...many,
      method: 'POST',
      summary: 'Makes an API key, good for what the caller may, or less',
      body: api.apiKeyCreate,
      answers: { 201: api.apiKeyCreated },
      handle: ({ caller, body }) => createKey(db, { userId: requireSession(caller) }, body),
    }),
    applicationRoute({
      method: 'DELETE',
      path: '/auth/api-keys/:id',
      summary: 'Deletes an API key',
      access: 'user',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ caller, params }) => {
        if (!(await deleteKey(db, { userId: requireSession(caller) }, params.id))) throw unknownKey()
        cache.clear()
      },
    }),
  ]
}

/** Clients of an organization: applications that act in it, and are nobody's. */
function clientRoutes(services: Services, { db, cache }: Credentials): readonly Route[] {
  return [
    tenantRoute({
      method: 'GET',
      path: '/api-clients',
      summary: "The organization's API clients",
      access: 'admin',
      answers: { 200: api.apiKeys },
      handle: async ({ here }) => ({ items: await listKeys(db, { tenantId: here().tenantId }) }),
    }),
    tenantRoute({
      method: 'POST',
      path: '/api-clients',
      summary: 'Makes an API client of the organization, with a role of the caller or less',
      access: 'admin',
      body: api.apiClientCreate,
      answers: { 201: api.apiKeyCreated },
      handle: async ({ here, body }) => {
        const { tenantId, role } = here()
        await assertRoom(services, tenantId, 'api_clients')
        return await createKey(db, { tenantId }, { ...body, role: lesser(body.role, role) })
      },
    }),
    tenantRoute({
      method: 'DELETE',
      path: '/api-clients/:id',
      summary: 'Deletes an API client',
      access: 'admin',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ here, params }) => {
        if (!(await deleteKey(db, { tenantId: here().tenantId }, params.id))) throw unknownKey()
        cache.clear()
      },
    }),
  ]
}

function tokenRoutes({ gate }: Services, { auth }: Credentials): readonly Route[] {
  return [
    applicationRoute({
      method: 'POST',
      path: '/auth/token',
      summary: 'Makes a token (JWT) of 15 minutes, with tenant_id and role of one organization',
      access: 'user',
      body: api.tokenRequest,
      answers: { 200: api.tokenAnswer },
      handle: async ({ caller, body: { organization } }) => {
        const sub = requireUser(caller)
        if (caller === null) throw new ProblemError(401, 'UNAUTHENTICATED', 'Sign in')
        // Else whoever has got hold of one would have them for ever, whatever is taken away from its user.
        if (caller.kind === 'token')
          throw new ProblemError(
            403,
            'CREDENTIAL_REQUIRED',
            'A token makes no other one: send a session or an API key',
          )
        const standing = organization === undefined ? null : await gate.admit(organization, caller)
        if (organization !== undefined && standing === null) throw tenantUnknown(organization)
        const exp = Math.floor(Date.now() / 1000) + limits.tokenSeconds
        // A token never allows more than the credential that it was asked for with.
        const bound = standing?.tenantId ?? caller.tenantId
        const role = standing === null ? caller.roleMax : lesser(standing.role, caller.roleMax)
        const claims = { ...(bound !== null && { tenant_id: bound }), ...(role !== null && { role }) }
        const { token } = await auth.api.signJWT({ body: { payload: { sub, exp, ...claims } } })
        return { token, expires_at: new Date(exp * 1000) }
      },
    }),
    applicationRoute({
      method: 'GET',
      path: '/auth/jwks',
      summary: 'The public keys of tokens (RFC 7517)',
      access: 'anyone',
      answers: { 200: api.jwks },
      handle: () => auth.api.getJwks(),
    }),
  ]
}
