import { QuickScaleError } from '@quickscale/tenancy'
import type { FastifyRequest } from 'fastify'
import { type Generated, sql } from 'kysely'
import type { Caller } from '../http/access.ts'
import type { Database } from '../http/database.ts'
import { codeOf } from '../http/problem.ts'
import { ProblemError } from '../http/problem-error.ts'

/** What happened in the end: nothing of what was refused or has failed. */
export type Outcome = 'done' | 'refused' | 'failed'

interface AuditTable {
  id: Generated<string>
  at: Generated<Date>
  actor: string
  credential: string
  impersonator: string | null
  action: string
  entity: string | null
  request_id: string
  outcome: Outcome
  code: string | null
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    audit_log: AuditTable
  }
}

/** A route, as far as the log names it. */
interface Named {
  readonly method: string
  readonly path: string
}

/** One line of the log: ids and words of ours, nothing that a caller wrote, no secret. */
export type AuditEntry = Omit<AuditTable, 'id' | 'at'>

/** Whether a route's requests are written down: whatever may change something. */
export function isAudited({ method }: Pick<Named, 'method'>): boolean {
  return method !== 'GET'
}

/** The entry of a request that was done. */
export function describeRequest(request: FastifyRequest, route: Named, caller: Caller | null): AuditEntry {
  return {
    actor: caller?.id ?? 'nobody',
    credential: caller?.kind ?? 'none',
    impersonator: caller?.impersonator ?? null,
    action: `${route.method} ${route.path}`,
    entity: idIn(request.params),
    request_id: request.id,
    outcome: 'done',
    code: null,
  }
}

/** The same of one that was not. */
export function withFailure(entry: AuditEntry, error: unknown, request: FastifyRequest): AuditEntry {
  const known = error instanceof ProblemError || error instanceof QuickScaleError
  const refused = known ? error.status < 500 : isViolation(error)
  return {
    ...entry,
    outcome: refused ? 'refused' : 'failed',
    code: known ? error.code : codeOf(error, request),
  }
}

/** The record that an answer is, when the request did not name one. */
export function withAnswer(entry: AuditEntry, answer: unknown): AuditEntry {
  return { ...entry, entity: entry.entity ?? idIn(answer) }
}

/** @param id of a line that may be written again by whoever does not know whether it is there; of its own otherwise */
export async function insertEntry(db: Database, entry: AuditEntry, id?: string): Promise<void> {
  const { actor, credential, impersonator, action, entity, request_id, outcome, code } = entry
  const [own, once] =
    id === undefined ? [sql`default`, sql``] : [sql`${id}`, sql`on conflict (id) do nothing`]
  await sql`insert into audit_log (id, actor, credential, impersonator, action, entity, request_id, outcome, code)
    values (${own}, ${actor}, ${credential}, ${impersonator}, ${action}, ${entity}, ${request_id}, ${outcome}, ${code})
    ${once}`.execute(db)
}

/** Ids and host names; whatever else stands in a path is not for the log. */
const ENTITY = /^[\p{L}\p{N}._:-]{1,200}$/u

function idIn(value: unknown): string | null {
  const { id, user_id, host } = Object(value)
  const found = [id, user_id, host].find((each) => typeof each === 'string')
  return found !== undefined && ENTITY.test(found) ? found : null
}

/** A rule of the data that the database enforces. */
function isViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^23...$/.test(String(error.code))
}
