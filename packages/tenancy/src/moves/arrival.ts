import { findMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import type { Move } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type DriveOptions, driveMove } from './drive.ts'

/**
 * Brings a move to its destination, on behalf of somebody who wants it there.
 *
 * @throws QuickScaleError `MOVE_CANCELLED` when somebody else has taken it back, and what `driveMove` throws
 */
export async function driveToArrival(workshop: Workshop, id: string, options: DriveOptions): Promise<Move> {
  const outcome = await driveMove(workshop, id, options).catch(async (error: unknown) => {
    // Whoever cancels a move takes it over.
    const move = await findMove(workshop.catalog.db, id)
    const cancelled =
      move?.request === 'cancel' || move?.state === 'cancelling' || move?.state === 'cancelled'
    if (!cancelled) throw error
    if (error instanceof QuickScaleError && error.code !== 'MOVE_TAKEN_OVER') throw error
    return null
  })
  if (outcome === null || outcome.state === 'cancelled')
    throw new QuickScaleError('MOVE_CANCELLED', { move: id })
  return outcome
}
