import type pg from 'pg'
import type { HeldMove } from '../catalog/moves.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { streamNames } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { TablesChanged } from './begin-anew.ts'
import { claimEnd, type End } from './end.ts'
import { isLost, type Sessions, sessionConfig } from './session.ts'
import { Follower } from './stream/follower.ts'
import { fingerprintOf, type MovedTable, readMigrationsOf, readTables } from './tables.ts'

/** What following from one end to the other takes. */
export interface CrossingWork {
  readonly workshop: Workshop
  readonly held: HeldMove
  readonly sessions: Sessions
  /** Part of the time that copies, comparisons and removals use; see openThrottle(). */
  readonly share: number
  /** Ends what an earlier holder may have opened since it was shut out. */
  evict(): Promise<void>
}

/** The connections that work on one direction of a move. */
export interface Crossing {
  readonly held: HeldMove
  readonly from: End
  readonly to: End
  readonly tables: readonly MovedTable[]
  readonly follower: Follower
  /** Part of the time that comparisons of all rows use. */
  readonly share: number
  /** Takes the tenant's lock; see {@link renewLocker}. */
  locker: pg.Client
  /** Sees rows of the place that is left, and of the other. */
  readonly here: pg.Client
  readonly there: pg.Client
  /** Sees rows of the other place as they were at the switch. */
  readonly pinned: pg.Client
}

/** Follows from one end to the other, and opens what comparing and switching take. */
export async function cross(
  { workshop, held, sessions, share, evict }: CrossingWork,
  from: End,
  to: End,
): Promise<Crossing> {
  const here = await sessions.open(from.place.database, 'watch')
  const writer = await sessions.open(to.place.database, 'apply')
  await claimEnd(here, held, from.role, 'planned')
  const { position } = await claimEnd(writer, held, to.role, 'planned')
  const tables = await readSameTables({ from, to, here, there: writer })
  await evict()
  await writer.query('set session_replication_role = replica; set synchronous_commit = on')
  const follower = new Follower(held, to, tables, { client: writer, share })
  const { slot, publication } = streamNames(held.id, from.role)
  await follower.start({
    connection: await sessionConfig(workshop.servers, held, from.place.database, 'stream'),
    slot,
    publication,
    from: position,
  })
  sessions.onClose(() => follower.stop())
  return await openCrossing(sessions, { held, from, to, tables, follower, share })
}

/** Opens what a crossing works with. */
async function openCrossing(
  sessions: Sessions,
  crossing: Omit<Crossing, 'locker' | 'here' | 'there' | 'pinned'>,
): Promise<Crossing> {
  const [locker, here, there, pinned] = await Promise.all([
    sessions.open(crossing.from.place.database, 'lock'),
    sessions.open(crossing.from.place.database, 'compare'),
    sessions.open(crossing.to.place.database, 'compare'),
    sessions.open(crossing.to.place.database, 'audit'),
  ])
  const { from, to } = crossing
  for (const [client, { place }] of [
    [locker, from],
    [here, from],
    [there, to],
    [pinned, to],
  ] as const) {
    await client.query(`set search_path to ${quoteIdentifier(place.schemaName)}, extensions`)
  }
  return { ...crossing, locker, here, there, pinned }
}

/** The server ends whoever holds the tenant's lock for too long; the next attempt needs another connection. */
export async function renewLocker(sessions: Sessions, crossing: Crossing): Promise<void> {
  if (!isLost(crossing.locker)) return
  const { place } = crossing.from
  const locker = await sessions.open(place.database, 'lock')
  await locker.query(`set search_path to ${quoteIdentifier(place.schemaName)}, extensions`)
  crossing.locker = locker
}

/** The tables of both places. @throws TablesChanged when one has other tables, or other migrations, than the other */
export async function readSameTables({
  from,
  to,
  here,
  there,
}: Pick<Crossing, 'from' | 'to' | 'here' | 'there'>): Promise<readonly MovedTable[]> {
  const [left, next] = [from.place.schemaName, to.place.schemaName]
  const [leftTables, tables] = await Promise.all([readTables(here, left), readTables(there, next)])
  const [applied, wanted] = await Promise.all([readMigrationsOf(here, left), readMigrationsOf(there, next)])
  if (fingerprintOf(leftTables) === fingerprintOf(tables) && applied === wanted) return tables
  throw new TablesChanged('a migration has come between')
}
