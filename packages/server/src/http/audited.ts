import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import pg from 'pg'
import { carryEntry } from '../audit/carried.ts'
import type { Addition, PlatformLog } from '../audit/control-plane.ts'
import { type AuditEntry, describeRequest, insertEntry, withAnswer, withFailure } from '../audit/entry.ts'
import { limits } from '../limits.ts'
import { answerOnce } from './idempotency.ts'
import { openLate } from './late-transaction.ts'
import { admitted } from './require-access.ts'
import type { InApplication, InTenant, Route } from './route.ts'

// A request that may change something is one transaction in its tenant's place, which ends with its line in the audit log: what
// is not written down has not happened. What a request changes beside the catalog is another database's; its line follows.

const noted = new WeakSet<FastifyRequest>()

/** Whether the request has its line in its tenant's log. */
export function isNoted(request: FastifyRequest): boolean {
  return noted.has(request)
}

type TenantRoute = Extract<Route, { scope: 'tenant' }>

/** Handles a request of a tenant that may change something. */
export async function changeAudited(
  inTenant: InTenant,
  route: TenantRoute,
  platformLog: PlatformLog,
): Promise<unknown> {
  const { request, caller, tenant } = inTenant
  const entry = describeRequest(request, route, caller)
  try {
    if (keepsAnswer(route) && request.headers['idempotency-key'] !== undefined) {
      return await answerOnce(inTenant, async (db) => {
        const answer = await route.handle({ ...inTenant, db, inTransaction: (work) => work(db) })
        await insertEntry(db, withAnswer(entry, answer))
        noted.add(request)
        return answer
      })
    }
    if (route.oneStatement === true && request.headers['if-match'] === undefined) {
      return await changeAtOnce(inTenant, route, entry)
    }
    return await change(inTenant, route, entry, platformLog)
  } catch (error) {
    if (inTenant.standing !== null)
      await noteFailure(tenant, withFailure(entry, error, request), { request, platformLog })
    throw error
  }
}

function keepsAnswer({ method, besideTenant = false }: TenantRoute): boolean {
  return method === 'POST' && !besideTenant
}

async function changeAtOnce(inTenant: InTenant, route: TenantRoute, entry: AuditEntry): Promise<unknown> {
  const carrying = carryEntry(inTenant.tenant, entry)
  const answer = await route.handle({ ...inTenant, db: carrying.db })
  if (!carrying.carried) throw new Error(`${entry.action} has written nothing`)
  noted.add(inTenant.request)
  return finish(inTenant.reply, answer)
}

async function change(
  inTenant: InTenant,
  route: TenantRoute,
  entry: AuditEntry,
  platformLog: PlatformLog,
): Promise<unknown> {
  const { tenant, reply } = inTenant
  for (let attempt = 1; ; attempt += 1) {
    const late = openLate(tenant)
    const { db } = late
    try {
      const answer = await route.handle({
        ...inTenant,
        db,
        inTransaction: (work, options = {}) => {
          late.choose(options)
          return work(db)
        },
      })
      const done = withAnswer(entry, answer)
      if (late.begun) {
        await insertEntry(db, done)
        await late.commit()
      } else await noteAfter(tenant, done, platformLog)
      noted.add(inTenant.request)
      return finish(reply, answer)
    } catch (error) {
      await late.rollback()
      if (!isConflict(error) || attempt >= limits.requestAttemptsMax) throw error
    }
  }
}

/**
 * Of what was done beside the tenant's place: in the tenant's log, or, if it may not be entered any more, beside the catalog too.
 *
 * @param id of the line, which is written once then
 */
export async function noteAfter(
  tenant: Pick<TenantHandle<TenantTables>, 'key' | 'kysely'>,
  entry: AuditEntry,
  platformLog: PlatformLog,
  id?: string,
): Promise<void> {
  try {
    await insertEntry(tenant.kysely, entry, id)
  } catch {
    await platformLog(entry, { tenantId: tenant.key })
  }
}

interface Whereabouts {
  readonly request: FastifyRequest
  readonly platformLog: PlatformLog
}

/** Of what was not done. Whoever asked hears why that was, whether or not it can be written down. */
export async function noteFailure(
  tenant: Pick<TenantHandle<TenantTables>, 'key' | 'kysely'>,
  entry: AuditEntry,
  { request, platformLog }: Whereabouts,
): Promise<void> {
  noted.add(request)
  await noteAfter(tenant, entry, platformLog).catch((error: unknown) =>
    request.log.warn({ err: error }, 'a refusal was not written down'),
  )
}

/** Handles a request outside of tenants that may change something. */
export async function auditOutside(
  request: FastifyRequest,
  route: Route,
  work: (audit: InApplication['audit']) => Promise<unknown>,
  { platformLog }: { readonly platformLog: PlatformLog },
): Promise<unknown> {
  const entry = describeRequest(request, route, admitted(request).caller)
  let addition: Addition = {}
  const add = (further: Addition) => {
    addition = { ...addition, ...further }
  }
  try {
    const answer = await work(add)
    await platformLog(withAnswer(entry, answer), addition)
    return answer
  } catch (error) {
    await platformLog(withFailure(entry, error, request), addition).catch((failure: unknown) =>
      request.log.warn({ err: failure }, 'a refusal was not written down'),
    )
    throw error
  }
}

export function finish(reply: FastifyReply, value: unknown): unknown {
  // A reply is waited for like a promise of nothing: then it has been sent.
  return value === undefined && !reply.sent ? reply.send() : value
}

/** Serialization failures, deadlocks, and prepared statements that a migration has overtaken: another attempt may succeed. */
function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['40001', '40P01', '0A000', '26000'].includes(error.code ?? '')
}
