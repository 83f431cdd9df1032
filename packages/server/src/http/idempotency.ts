import { createHash } from 'node:crypto'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Kysely, sql } from 'kysely'
import { limits } from '../limits.ts'
import type { Caller } from './access.ts'
import { ProblemError } from './problem-error.ts'
import type { Database, InTenant } from './route.ts'

// The key is inserted first, and everything else happens in the same transaction: either the work and its answer are
// there, or neither. A second request with the same key waits at the insertion until the first one is over, and then
// finds its answer, or, after a failure, does the work itself. Nothing has to expire and nothing can be half done.

interface IdempotencyTable {
  actor: string
  key: string
  request: Buffer
  status: number | null
  location: string | null
  body: string | null
  created_at: Date
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    idempotency_key: IdempotencyTable
  }
}

/**
 * Does the work of a request once, however often the request comes: per tenant, caller and key. Refusals and failures are
 * not kept: they have changed nothing.
 *
 * @throws ProblemError `IDEMPOTENCY_KEY_INVALID`, `IDEMPOTENCY_KEY_REUSED` for another request under the same key
 */
export async function answerOnce(
  { tenant, request, reply, caller }: InTenant,
  work: (db: Database) => Promise<unknown>,
): Promise<unknown> {
  const entry = { actor: nameOf(caller), key: readKey(request), request: digest(request) }
  const text = await tenant.transaction(async ({ kysely }) => {
    if (await claim(kysely, entry)) {
      const body = serialize(reply, await work(kysely))
      await keep(kysely, entry, { status: reply.statusCode, location: readLocation(reply), body })
      return body
    }
    return await replay(kysely, entry, reply)
  })
  return text === null
    ? reply.send()
    : reply.type('application/json; charset=utf-8').serializer(String).send(text)
}

/** Whoever acts as a user has keys of their own: neither gets what the other one was answered. */
function nameOf(caller: Caller | null): string {
  const { id = '', impersonator } = caller ?? {}
  return impersonator === undefined ? id : `${id} by ${impersonator}`
}

type Entry = Pick<IdempotencyTable, 'actor' | 'key' | 'request'>
type Answer = Pick<IdempotencyTable, 'location' | 'body'> & { readonly status: number }

/** @returns false when there is an answer under the key already */
async function claim(db: Kysely<TenantTables>, entry: Entry): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    with expired as (
      select actor, key from idempotency_key
       where created_at < now() - ${limits.idempotencyKeptMs} * interval '1 millisecond'
       limit ${limits.idempotencySweepMax} for update skip locked
    ), swept as (
      delete from idempotency_key using expired
       where idempotency_key.actor = expired.actor and idempotency_key.key = expired.key
    )
    insert into idempotency_key (actor, key, request) values (${entry.actor}, ${entry.key}, ${entry.request})
    on conflict (actor, key) do nothing`.execute(db)
  return numAffectedRows > 0n
}

async function keep(db: Database, { actor, key }: Entry, answer: Answer): Promise<void> {
  await db
    .updateTable('idempotency_key')
    .set(answer)
    .where('actor', '=', actor)
    .where('key', '=', key)
    .execute()
}

async function replay(db: Database, { actor, key, request }: Entry, reply: FastifyReply) {
  const kept = await db
    .selectFrom('idempotency_key')
    .select(['request', 'status', 'location', 'body'])
    .where('actor', '=', actor)
    .where('key', '=', key)
    .executeTakeFirst()
  // Swept between the two statements; the next attempt does the work.
  if (kept?.status === undefined || kept.status === null) {
    throw new ProblemError(
      409,
      'IDEMPOTENCY_KEY_BUSY',
      'The first request with this key is not over; try again',
    )
  }
  if (!kept.request.equals(request)) {
    throw new ProblemError(
      422,
      'IDEMPOTENCY_KEY_REUSED',
      'Another request was sent with this Idempotency-Key',
    )
  }
  reply.status(kept.status).header('idempotency-replayed', 'true')
  if (kept.location !== null) reply.header('location', kept.location)
  return kept.body
}

function readKey({ headers }: FastifyRequest): string {
  const key = headers['idempotency-key']
  if (typeof key === 'string' && key.length <= limits.idempotencyKeyLengthMax && /^[\x21-\x7e]+$/.test(key))
    return key
  throw new ProblemError(
    400,
    'IDEMPOTENCY_KEY_INVALID',
    `An Idempotency-Key is 1 to ${limits.idempotencyKeyLengthMax} visible ASCII characters`,
  )
}

/** Of what makes two requests the same: where they go, and what they ask for. */
function digest({ method, routeOptions, params, query, body }: FastifyRequest): Buffer {
  const { slug: _slug, team: _team, ...ids } = Object(params) as Record<string, unknown>
  const { path } = routeOptions.config.declared ?? { path: routeOptions.url }
  return createHash('sha256')
    .update(JSON.stringify([method, path, ids, query, Buffer.isBuffer(body) ? null : body]))
    .update(Buffer.isBuffer(body) ? body : '')
    .digest()
}

/** As the schema of the answer has it, before anything is committed: what cannot be answered is not done. */
function serialize(reply: FastifyReply, value: unknown): string | null {
  if (value === undefined || reply.statusCode === 204) return null
  const write = reply.getSerializationFunction(String(reply.statusCode))
  return write === undefined ? JSON.stringify(value) : String(write(Object(value)))
}

function readLocation(reply: FastifyReply): string | null {
  const location = reply.getHeader('location')
  return typeof location === 'string' ? location : null
}
