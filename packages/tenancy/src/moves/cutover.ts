import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { MoveState } from '../move.ts'
import { admitToTables, loginRoles } from '../strategies/databases.ts'
import { differingTables, digestKeys } from './digest.ts'
import { type End, isWithinDatabase, writeEnd } from './end.ts'
import { alignSequences, type Crossing, isLockTimeout, Occupied, releaseLock } from './rehearse.ts'
import { readSequences, sequencesBehind } from './sequences.ts'
import { isOccupied, lockTenant } from './snapshots.ts'

/** What the commit of a cutover decides. */
export interface Decision {
  /** The state of the move from then on, written down at the end that is left. */
  readonly state: MoveState
  /** The tenant's epoch from then on. */
  readonly epoch: number
}

/**
 * Switches the tenant to the other place, in one transaction at the place it leaves:
 *
 *   lock       nobody is inside, nobody comes in
 *   marker     everything that was committed before has come through the log and is applied at the other end
 *   compare    the rows that were touched since all of them were compared, and the sequences
 *   fence      the place says that the tenant has moved, and where to; the move is `switched`
 *   commit     the point of no return; it releases the lock
 *
 * Until the commit an error, or a crash, leaves everything as it was.
 *
 * @returns milliseconds that the lock was held
 * @throws Occupied when somebody is inside who does not leave; nothing has happened
 * @throws QuickScaleError `MOVE_STALLED`, `MOVE_TAKEN_OVER`
 */
export async function cutOver(crossing: Crossing, decision: Decision): Promise<number> {
  const { held, from, follower, locker, here } = crossing
  follower.assertRunning()
  if (await isOccupied(here, held.tenantId))
    throw new Occupied('a transaction of the tenant has been open for a while')
  await alignSequences(crossing)
  const marker = follower.expectMarker()
  const startedAt = performance.now()
  try {
    await lockTenant(locker, held.tenantId, { lastMs: limits.cutoverMs, emit: marker.statement })
    if (from.place.database.kind === 'silo') await endIntruders(crossing)
    await marker.reached
    await compareTouched(crossing)
    await leave(crossing, decision)
    if (from.place.database.kind === 'silo') await admitToTables(locker, from.place.database, false)
    await locker.query('commit')
    return performance.now() - startedAt
  } catch (error) {
    // On a dead connection there is nothing to roll back.
    await releaseLock(locker).catch(() => undefined)
    throw isLockTimeout(error) ? new Occupied('its transactions do not end in time', { cause: error }) : error
  }
}

/**
 * Whoever has the login's password may have written without entering, and would commit into the place that is left: with the
 * lock held by us, nobody who entered is inside.
 */
async function endIntruders({ from, locker }: Crossing): Promise<void> {
  const { rowCount } = await locker.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where usename = any ($1) and datname = current_database() and backend_xid is not null`,
    [loginRoles(from.place.database)],
  )
  if (rowCount !== 0) throw new Occupied('a session of the login has written without entering, and was ended')
}

async function compareTouched({ held, from, to, tables, follower, locker, there }: Crossing): Promise<void> {
  const keys = follower.touched
  const [rowsHere, rowsThere, sequencesHere, sequencesThere] = await Promise.all([
    digestKeys(locker, from.place.schemaName, tables, keys),
    digestKeys(there, to.place.schemaName, tables, keys),
    readSequences(locker, tables),
    readSequences(there, tables),
  ])
  const differences = [
    ...differingTables(rowsHere, rowsThere),
    ...sequencesBehind(tables, sequencesHere, sequencesThere).map(
      (name) => `the sequence of ${name} is behind`,
    ),
  ]
  if (differences.length === 0) return
  throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason: differences.join('; ') })
}

/** The fence of the place that is left. In one database there is one fence, and the tenant is at its destination with it. */
async function leave({ held, from, to, locker }: Crossing, { state, epoch }: Decision): Promise<void> {
  await writeEnd(locker, held, from.role, { state })
  const { rowCount } = isWithinDatabase(held)
    ? await locker.query(
        `update quickscale.placement set epoch = $2, schema_name = $3 where tenant_id = $1 and state = 'active' and epoch = $4`,
        [held.tenantId, epoch, to.place.schemaName, epoch - 1],
      )
    : await locker.query(
        `update quickscale.placement set state = 'moved', destination = $2
          where tenant_id = $1 and state = 'active' and epoch = $3`,
        [held.tenantId, destinationText(to, epoch), epoch - 1],
      )
  if (rowCount === 1) return
  throw new QuickScaleError('MOVE_STALLED', {
    move: held.id,
    reason: 'the tenant is not active where it lives',
  })
}

/** Where a fence leads those who come too late; see session/destination.ts. */
function destinationText({ place }: End, epoch: number): string {
  return JSON.stringify({ epoch, schema: place.schemaName, database: place.database.id })
}
