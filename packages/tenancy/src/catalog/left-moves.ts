import { type Kysely, type RawBuilder, sql } from 'kysely'
import { limits } from '../limits.ts'
import { type HeldMove, nextLease, toHeld } from './moves.ts'
import type { CatalogTables } from './tables.ts'

type Database = Kysely<CatalogTables>

/** There is something to do: a move that waits with its way back open needs nobody. */
const due: RawBuilder<boolean> = sql<boolean>`(
  finished_at is null
  and (state <> 'active' or request is not null
       or coalesce(switched_at + window_ms * interval '1 millisecond', now()) <= now()))`

/** A process that watches takes it up, if nobody works on it, now or later. */
const goesOn: RawBuilder<boolean> = sql<boolean>`(
  state = 'switched' or (locked_lease is not distinct from lease and stopped_at is null and attempts < ${limits.moveAttemptsMax}))`

/**
 * What is to be taken up unasked, if nobody works on it: there is something to do, nobody has stopped it, it was not tried in vain too
 * often, or a moment ago, and whoever had it last would hold a lock if it lived: an earlier version holds none. A tenant between two
 * places waits for its next one, whatever was said of its move before.
 */
const left: RawBuilder<boolean> = sql<boolean>`(${due} and ${goesOn} and coalesce(retry_at <= now(), true))`

/** A move that nobody may be working on. */
export interface LeftMove {
  readonly id: string
  /** Its tenant may be between two places. */
  readonly between: boolean
}

/** Some of them, tenants between two places first. */
export async function listLeftMoves(db: Database, limit: number): Promise<LeftMove[]> {
  return await db
    .selectFrom('move')
    .select(['id', sql<boolean>`state = 'switched'`.as('between')])
    .where(left)
    // Those that somebody works on are among them, and must not hide the others.
    .orderBy(sql`state <> 'switched', random()`)
    .limit(limit)
    .execute()
}

/** Somebody holds the move's lock: see mover-locks.ts. A key of 64 bits is shown as two halves. */
const workedOn: RawBuilder<boolean> = sql<boolean>`exists (
  select from pg_locks
   where locktype = 'advisory' and objsubid = 1 and granted
     and database = (select oid from pg_database where datname = current_database())
     and (classid::bigint << 32 | objid::bigint) = hashtextextended('mover ' || move.id::text, 0))`

/** A move on which there is something to be done, and who does it. */
export interface DueMove {
  readonly held: HeldMove
  /** A living process says that it works on it. */
  readonly workedOn: boolean
  /** A process that watches takes it up, now or later. */
  readonly goesOn: boolean
  /** Not before a while has passed. */
  readonly delayed: boolean
  /** Who had it last says by no lock whether it lives. */
  readonly unlocked: boolean
}

/** Moves on which nobody works, and those whose tenant may be between two places, whoever works on them. */
export async function listDoubtfulMoves(db: Database, limit: number): Promise<DueMove[]> {
  const rows = await db
    .selectFrom('move')
    .selectAll()
    .select([
      workedOn.as('workedOn'),
      goesOn.as('goesOn'),
      sql<boolean>`coalesce(retry_at > now(), false)`.as('delayed'),
      sql<boolean>`locked_lease is distinct from lease`.as('unlocked'),
    ])
    .where(due)
    .where(sql<boolean>`(state in ('streaming', 'switched', 'returning') or not ${workedOn})`)
    .orderBy(sql`state not in ('switched', 'returning')`)
    .orderBy('created_at')
    .limit(limit)
    .execute()
  return await Promise.all(
    rows.map(async (row) => {
      const { workedOn, goesOn, delayed, unlocked } = row
      return { held: await toHeld(db, row), workedOn, goesOn, delayed, unlocked }
    }),
  )
}

/**
 * Moves that say of themselves that nobody is to take them up, and may be wrong: a process that ended between the tenant's
 * departure and what it would have written down here has left them so. Where somebody says by a lock that he is at it, he is.
 */
const unheard: RawBuilder<boolean> = sql<boolean>`(
  finished_at is null and state in ('streaming', 'returning') and ${left} is not true and coalesce(retry_at <= now(), true))`

/** Some of them, whose places are to be asked. */
export async function listUnheardMoves(db: Database, limit: number): Promise<HeldMove[]> {
  const rows = await db
    .selectFrom('move')
    .selectAll()
    .where(unheard)
    .where(sql<boolean>`not ${workedOn}`)
    .orderBy(sql`random()`)
    .limit(limit)
    .execute()
  return await Promise.all(rows.map((row) => toHeld(db, row)))
}

/**
 * Takes a move over that is still to be taken up.
 *
 * @param departed the lease under which the tenant was found to have left its place: then nobody is to be asked any more
 * @returns null when it is not to be taken up any more
 */
export async function leaseLeftMove(
  db: Database,
  id: string,
  departed: number | null,
): Promise<HeldMove | null> {
  const row = await db
    .updateTable('move')
    .set({
      ...nextLease,
      attempts: sql<number>`attempts + 1`,
      retry_at: retryAfter(sql`attempts`),
    })
    .where('id', '=', id)
    .where(departed === null ? left : sql<boolean>`(${unheard} and lease = ${departed})`)
    .returningAll()
    .executeTakeFirst()
  return row === undefined ? null : await toHeld(db, row)
}

/** Writes down why it was in vain, unless somebody has taken the move over meanwhile. @param why null when the move itself says so */
export async function noteVainAttempt(
  db: Database,
  { id, attempts }: Pick<HeldMove, 'id' | 'attempts'>,
  why: string | null,
): Promise<void> {
  await db
    .updateTable('move')
    .set({ retry_at: retryAfter(sql`attempts - 1`), ...(why === null ? {} : { failure: why }) })
    .where('id', '=', id)
    .where('attempts', '=', attempts)
    .where('finished_at', 'is', null)
    .execute()
}

/** The pause doubles with each attempt. */
function retryAfter(attempts: RawBuilder<unknown>): RawBuilder<Date> {
  const { moveRetryMs, moveRetryMsMax } = limits
  return sql<Date>`now() + least(${moveRetryMs} * 2 ^ least(${attempts}, 30), ${moveRetryMsMax}) * interval '1 millisecond'`
}
