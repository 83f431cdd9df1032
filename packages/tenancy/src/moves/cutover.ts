import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { MoveState } from '../move.ts'
import { admitToTables, loginRoles } from '../strategies/databases.ts'
import { PlacesDiffer } from './begin-anew.ts'
import { alignSequences, isLockTimeout, Occupied, releaseLock } from './compare/rehearse.ts'
import { compareKeys, isOccupied, lockTenant, releaseSnapshot, takeSnapshot } from './compare/snapshots.ts'
import type { Crossing } from './crossing.ts'
import { type End, isWithinDatabase } from './end.ts'
import { readSequences, sequencesBehind } from './sequences.ts'

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
 * @throws PlacesDiffer
 * @throws QuickScaleError `MOVE_STALLED`, `MOVE_TAKEN_OVER`
 */
export async function cutOver(crossing: Crossing, decision: Decision): Promise<number> {
  const { held, from, follower, locker, here, pinned } = crossing
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
    // For the audit; of what comes after it nothing is at the other place yet.
    await Promise.all([compareTouched(crossing), takeSnapshot(here), takeSnapshot(pinned)])
    await leave(crossing, decision)
    if (from.place.database.kind === 'silo') await admitToTables(locker, from.place.database, false)
    await locker.query('commit')
    return performance.now() - startedAt
  } catch (error) {
    await Promise.all([releaseLock(locker), releaseSnapshot(here), releaseSnapshot(pinned)])
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

/** What is at the source is asked for on two connections at once: sequences look the same to all of them. */
async function compareTouched(crossing: Crossing): Promise<void> {
  const { from, to, tables, follower, locker, here, there } = crossing
  const { keys, count } = follower.touched
  if (count > limits.cutoverKeysMax) throw new Occupied('the tenant has just written too many rows')
  const [differing, sequencesHere, sequencesThere] = await Promise.all([
    compareKeys(tables, keys, { client: locker, end: from }, { client: there, end: to }),
    readSequences(here, tables),
    readSequences(there, tables),
  ])
  if (differing.length > 0) throw new PlacesDiffer(differing)
  // Ids were given out since it was pushed: the next attempt pushes it again.
  const [behind] = sequencesBehind(tables, sequencesHere, sequencesThere)
  if (behind !== undefined) throw new Occupied(`the sequence of ${behind} is behind`)
}

/**
 * The fence of the place that is left, and what it knows of the move; in one statement, because the tenant is waiting. In one
 * database there is one fence, and the tenant is at its destination with it.
 */
async function leave({ held, from, to, locker }: Crossing, { state, epoch }: Decision): Promise<void> {
  const fence = isWithinDatabase(held)
    ? { change: 'epoch = $6, schema_name = $7', value: to.place.schemaName }
    : { change: `state = 'moved', destination = $7`, value: destinationText(to, epoch) }
  const { rows } = await locker.query<{ known: number; left: number }>(
    `with known as (
       update quickscale.move_end set state = $4 where move_id = $1 and role = $2 and lease = $3 returning 1),
     "left" as (
       update quickscale.placement set ${fence.change}
        where tenant_id = $5 and state in ('active', 'suspended', 'archived') and epoch = $6::integer - 1 returning 1)
     select (select count(*)::integer from known) as known, (select count(*)::integer from "left") as "left"`,
    [held.id, from.role, held.lease, state, held.tenantId, epoch, fence.value],
  )
  if (rows[0]?.known !== 1) throw new QuickScaleError('MOVE_TAKEN_OVER', { move: held.id })
  if (rows[0].left === 1) return
  throw new QuickScaleError('MOVE_STALLED', {
    move: held.id,
    reason: 'the fence of the place where the tenant lives is not as it was',
  })
}

/** Where a fence leads those who come too late; see session/destination.ts. */
function destinationText({ place }: End, epoch: number): string {
  return JSON.stringify({ epoch, schema: place.schemaName, database: place.database.id })
}
