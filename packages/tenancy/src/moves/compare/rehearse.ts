import pg from 'pg'
import { limits } from '../../limits.ts'
import type { MoveAudit } from '../../move.ts'
import { PlacesDiffer } from '../begin-anew.ts'
import type { Crossing } from '../crossing.ts'
import { pushSequences, readSequences } from '../sequences.ts'
import { isLost } from '../session.ts'
import type { TouchedKeys } from '../stream/touched.ts'
import {
  compareKeys,
  compareSnapshots,
  isOccupied,
  lockTenant,
  releaseSnapshot,
  takeSnapshot,
} from './snapshots.ts'

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
