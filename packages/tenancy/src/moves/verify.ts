/**
 * Verification of a move that has arrived, while its way back is open.
 *
 * The source is frozen, and the tenant goes on at the target: as such the two cannot be compared. But all that was written since
 * the switch is in the log that is kept for the way back. It is brought to the source, as a rollback would begin, and then both
 * places must have the same rows as of one moment. What is brought there stays: a rollback goes on from it, and the target's
 * server may let go of its log. Once the source is being taken away there is nothing left to compare with.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type HeldMove, leaseMove, recordMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { type Move, streamNames } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { BeginAnew } from './begin-anew.ts'
import { compareAtMarker, Occupied } from './compare/rehearse.ts'
import { type CrossingWork, cross, renewLocker } from './crossing.ts'
import { endOf } from './end.ts'
import { evict, type Sessions, withSessions } from './session.ts'
import { isSlotUsable } from './stream/slot.ts'

/** What a verification has found. */
export interface MoveVerification {
  readonly move: string
  /** Tables whose rows were compared, all of the tenant's. */
  readonly tables: number
  /** In what the two places differ, in words; empty when they are the same. */
  readonly differences: readonly string[]
}

/** @throws QuickScaleError `MOVE_OVER`, `MOVE_STALLED`, `MOVE_TAKEN_OVER` */
export async function verifyMove(
  workshop: Workshop,
  move: Move,
  signal?: AbortSignal,
): Promise<MoveVerification> {
  const { db } = workshop.catalog
  const assertOpen = ({ id, state, request, rollbackUntil }: Move) => {
    if (state === 'active' && request === null && (rollbackUntil?.getTime() ?? 0) > Date.now()) return
    throw new QuickScaleError('MOVE_OVER', { move: id, request: 'verify', state })
  }
  assertOpen(move)
  const held = await leaseMove(db, move.id, { asked: false })
  assertOpen(held)
  try {
    return await compareArrived(workshop, held, limits.moveShare, signal)
  } catch (error) {
    // Who takes a move over ends the connections of whoever had it: that is then the reason.
    await recordMove(db, held, { progress: {} })
    if (!(error instanceof BeginAnew)) throw error
    throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason: error.message }, { cause: error })
  }
}

/**
 * Compares both places of a move whose way back is open.
 *
 * @param share part of the time that it may use, 0 to 1
 */
export async function compareArrived(
  workshop: Workshop,
  held: HeldMove,
  share: number,
  signal: AbortSignal | undefined,
): Promise<MoveVerification> {
  await evict(workshop, held)
  const work = (sessions: Sessions) =>
    compare({ workshop, held, sessions, share, evict: () => evict(workshop, held) }, signal)
  return await withSessions(workshop, held, work, signal)
}

async function compare(work: CrossingWork, signal: AbortSignal | undefined): Promise<MoveVerification> {
  const { held, sessions } = work
  const [target, source] = [endOf(held, 'target'), endOf(held, 'source')]
  const there = await sessions.open(target.place.database, 'verify')
  if (!(await isSlotUsable(there, streamNames(held.id, 'target').slot))) {
    const reason = 'the way back is closed: its replication slot is gone'
    throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason })
  }
  const crossing = await cross(work, target, source)
  await crossing.follower.catchUp(crossing.here, { signal })
  for (let attempt = 1; attempt <= limits.cutoversMax; attempt += 1) {
    signal?.throwIfAborted()
    try {
      const differences = await compareAtMarker(crossing, 'all')
      await crossing.follower.stop()
      return { move: held.id, tables: crossing.tables.length, differences }
    } catch (error) {
      if (!(error instanceof Occupied)) throw error
      await sleep(limits.cutoverPauseMs)
      await renewLocker(sessions, crossing)
    }
  }
  throw new QuickScaleError('MOVE_STALLED', {
    move: held.id,
    reason: 'transactions of the tenant do not end',
  })
}
