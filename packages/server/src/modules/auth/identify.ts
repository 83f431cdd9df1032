import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type Caller, type IdentifiedRequest, isRole, unauthenticated } from '../../http/access.ts'
import type { Identification } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import { Memory } from '../../memory.ts'
import { findKey, KEY_PREFIX } from './api-keys.ts'
import type { BetterAuth } from './better-auth.ts'
import { CREDENTIAL_PREFIX, findImpersonation } from './impersonation/impersonation.ts'
import type { AuthTables } from './tables.ts'

export interface CredentialCache {
  /** Forgets all of them: one was revoked, or a session has ended. */
  clear(): void
}

/**
 * Who sends a request: by API key or token (`Authorization: Bearer …`), or by session cookie. A bad bearer is refused even
 * beside a good session: nobody means that.
 */
export function createIdentification(
  auth: BetterAuth,
  db: Kysely<AuthTables>,
  trusted: ReadonlySet<string>,
): Identification & CredentialCache {
  const known = new Memory<Caller>({ max: limits.credentialsCached, ttl: limits.credentialCacheMs })
  const remembering = (credential: string, read: () => Promise<Caller | null>) =>
    known.find(createHash('sha256').update(credential).digest('base64url'), read)
  const byBearer = (bearer: string) =>
    remembering(`bearer ${bearer}`, () =>
      bearer.startsWith(KEY_PREFIX) ? findKey(db, bearer) : readToken(auth, bearer),
    )
  const byCookie = (cookie: string) =>
    remembering(`cookie ${cookie}`, async (): Promise<Caller | null> => {
      const found = await auth.api.getSession({ headers: new Headers({ cookie }) })
      if (found === null) return null
      const { user, session } = found
      const caller = { kind: 'session', id: user.id, userId: user.id, tenantId: null, roleMax: null } as const
      return { ...caller, sessionId: session.id }
    })
  return {
    async identify(request) {
      const bearer = readBearer(request)
      if (bearer !== null) {
        // Never from memory: an end counts at once, in every process.
        const caller = bearer.startsWith(CREDENTIAL_PREFIX)
          ? await findImpersonation(db, bearer)
          : await byBearer(bearer)
        if (caller === null) throw unauthenticated()
        return caller
      }
      const { cookie } = request.headers
      if (typeof cookie !== 'string') return null
      const caller = await byCookie(cookie)
      if (caller !== null) assertSameSite(request, trusted)
      return caller
    },
    async find(userId) {
      const row = await db
        .selectFrom('user')
        .select(['id', 'name', 'email', 'email_verified'])
        .where('id', '=', userId)
        .executeTakeFirst()
      return row === undefined
        ? null
        : { id: row.id, name: row.name, email: row.email, emailVerified: row.email_verified }
    },
    clear: () => known.clear(),
  }
}

function readBearer({ headers }: IdentifiedRequest): string | null {
  const { authorization } = headers
  if (authorization === undefined) return null
  const [, bearer] = /^Bearer +([A-Za-z0-9._~+/=-]{1,4096})$/i.exec(String(authorization)) ?? []
  if (bearer === undefined) throw unauthenticated()
  return bearer
}

async function readToken(auth: BetterAuth, token: string): Promise<Caller | null> {
  const { payload } = await auth.api.verifyJWT({ body: { token } })
  if (payload === null || typeof payload.sub !== 'string') return null
  const { tenant_id: tenantId, role } = payload
  return {
    kind: 'token',
    id: payload.sub,
    userId: payload.sub,
    tenantId: typeof tenantId === 'string' ? tenantId : null,
    roleMax: typeof role === 'string' && isRole(role) ? role : null,
  }
}

/** A cookie is sent by the browser, whoever made it send: so what changes something must come from a page of ours. */
function assertSameSite({ method, headers }: IdentifiedRequest, trusted: ReadonlySet<string>): void {
  if (method === 'GET' || method === 'HEAD') return
  const { origin, host, 'sec-fetch-site': site } = headers
  const own = typeof origin === 'string' && origin.replace(/^https?:\/\//, '') === host
  const sent = typeof origin === 'string' ? own || trusted.has(origin) : undefined
  if (sent ?? (site === undefined || site === 'same-origin' || site === 'none')) return
  throw new ProblemError(403, 'ORIGIN_REFUSED', 'Pages of other origins may not do this')
}
