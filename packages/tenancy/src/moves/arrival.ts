import { setTimeout as sleep } from 'node:timers/promises'
import { findMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { isBeforeSwitch, type Move } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type DriveOptions, driveMove } from './drive.ts'

/**
 * Brings a move to its destination, on behalf of somebody who wants it there.
 *
 * @throws QuickScaleError `MOVE_CANCELLED` when somebody else has taken it back, and what `driveMove` throws
 */
export async function driveToArrival(workshop: Workshop, id: string, options: DriveOptions): Promise<Move> {
  const outcome = await driveMove(workshop, id, options).catch((error: unknown) =>
    finishElsewhere(workshop, id, error, options),
  )
  if (outcome.state === 'cancelled') throw new QuickScaleError('MOVE_CANCELLED', { move: id })
  return outcome
}

/** What becomes of a move whose driver was shut out: whoever cancels it takes it over, and so does whoever waits too long. */
async function finishElsewhere(
  workshop: Workshop,
  id: string,
  error: unknown,
  options: DriveOptions,
): Promise<Move> {
  if (error instanceof QuickScaleError && error.code !== 'MOVE_TAKEN_OVER') throw error
  const move = await findDecided(workshop, id)
  if (move?.state === 'cancelling' || move?.state === 'cancelled') {
    throw new QuickScaleError('MOVE_CANCELLED', { move: id }, { cause: error })
  }
  const takenOver = error instanceof QuickScaleError
  if (!takenOver || move === null || isBeforeSwitch(move)) throw error
  return await driveMove(workshop, id, options)
}

/** The move, once it is known whether whoever asked for a cancellation was in time. */
async function findDecided({ catalog }: Workshop, id: string): Promise<Move | null> {
  for (let waitedMs = 0; ; waitedMs += limits.retryPauseMsMax) {
    const move = await findMove(catalog.db, id)
    const open = move !== null && isBeforeSwitch(move) && move.request === 'cancel'
    if (!open || waitedMs >= limits.arrivalWaitMs) return move
    await sleep(limits.retryPauseMsMax)
  }
}
