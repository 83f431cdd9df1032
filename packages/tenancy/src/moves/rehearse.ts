import pg from 'pg'
import type { HeldMove } from '../catalog/moves.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { limits } from '../limits.ts'
import type { MoveAudit } from '../move.ts'
import { PlacesDiffer } from './begin-anew.ts'
import type { End } from './end.ts'
import type { Follower } from './follower.ts'
import { pushSequences, readSequences } from './sequences.ts'
import { isLost, type Sessions } from './session.ts'
import {
  compareKeys,
  compareSnapshots,
  isOccupied,
  lockTenant,
  releaseSnapshot,
  takeSnapshot,
} from './snapshots.ts'
import type { MovedTable } from './tables.ts'
import type { TouchedKeys } from './touched.ts'

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

export async function openCrossing(
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

/** Why the tenant could not be locked this time; nothing has happened. */
export class Occupied extends Error {}

/** `all` rows, with an enumeration of its own; `touched`: those that were written since the last comparison. */
type Compared = 'all' | 'touched'

/**
 * Proves that both places have the same rows. From then on only rows that are touched have to be compared.
 *
 * @throws Occupied
 * @throws PlacesDiffer
 */
export async function rehearse(crossing: Crossing, compared: Compared): Promise<void> {
  const differences = await compareAtMarker(crossing, compared)
  if (differences.length > 0) throw new PlacesDiffer(differences)
}

/**
 * Compares both places as of one moment. The tenant is locked for the few milliseconds in which that moment is fixed.
 *
 * @returns in what they differ, in words
 * @throws Occupied
 */
export async function compareAtMarker(crossing: Crossing, compared: Compared): Promise<readonly string[]> {
  const { held, from, to, tables, follower, share, here, there } = crossing
  const [source, target] = [
    { client: here, end: from },
    { client: there, end: to },
  ]
  const moment = await fixMoment(crossing)
  try {
    return compared === 'all' || follower.touched.isTooMany(moment)
      ? await compareSnapshots({ tenantId: held.tenantId, tables, share }, source, target)
      : await compareKeys(tables, moment, source, target)
  } catch (error) {
    follower.touched.putBack(moment)
    throw error
  } finally {
    await Promise.all([releaseSnapshot(here), releaseSnapshot(there)])
  }
}

/**
 * From here on `here` and `there` see the same moment.
 *
 * @returns the rows that were touched until then
 */
async function fixMoment({ held, follower, locker, here, there }: Crossing): Promise<TouchedKeys> {
  if (await isOccupied(here, held.tenantId)) throw new Occupied()
  let touched: TouchedKeys = new Map()
  const marker = follower.expectMarker(async () => {
    await takeSnapshot(there)
    touched = follower.touched.take()
  })
  try {
    await unlessEnded(locker, lockTenant(locker, held.tenantId, { lastMs: limits.rehearsalMs }))
    await takeSnapshot(here)
    await unlessEnded(locker, locker.query(`${marker.statement}; commit`))
    await marker.reached
    return touched
  } catch (error) {
    marker.abandon()
    await Promise.all([releaseLock(locker), releaseSnapshot(here), releaseSnapshot(there)])
    follower.touched.putBack(touched)
    throw error
  }
}

/**
 * Compares all rows of both places as they were at the switch: of the one that was left nothing has changed since, of the other
 * one this is what it began with. What was compared before, or while the tenant waited, was less, or earlier.
 */
export async function auditSwitch({
  held,
  from,
  to,
  tables,
  share,
  here,
  pinned,
}: Crossing): Promise<MoveAudit> {
  try {
    const differences = await compareSnapshots(
      { tenantId: held.tenantId, tables, share },
      { client: here, end: from },
      { client: pinned, end: to },
    )
    return { tables: tables.length, differences }
  } finally {
    await Promise.all([releaseSnapshot(here), releaseSnapshot(pinned)])
  }
}

/** Sequences are not in the log. */
export async function alignSequences({ tables, here, there }: Crossing): Promise<void> {
  await pushSequences(there, tables, await readSequences(here, tables))
}

/** Ends the transaction that holds the tenant's lock, whatever has become of it; on a dead connection it is over. */
export async function releaseLock(locker: pg.Client): Promise<void> {
  await locker.query('rollback').catch(() => undefined)
}

/**
 * What was asked on the connection that holds the tenant's lock. The server ends it when it takes too long, or an administrator does:
 * whatever was under way is told so, or only that the connection is gone.
 *
 * @throws Occupied then, and when the lock was not to be had
 */
async function unlessEnded<T>(locker: pg.Client, asked: Promise<T>): Promise<T> {
  return await asked.catch((error: unknown) => {
    throw isLockTimeout(error) || isEndOfSession(error) || isLost(locker)
      ? new Occupied('', { cause: error })
      : error
  })
}

/** 57P01 to 57P05: the server has ended the session, and its answer comes before the end of the connection. */
function isEndOfSession(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code ?? '').startsWith('57P')
}

/** 55P03: the lock was not to be had; 25P04: the transaction took too long, and its connection is gone. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['55P03', '25P04'].includes(error.code ?? '')
}
