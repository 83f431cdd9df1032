import type { Move } from '../move.ts'
import type { Plans } from '../placements/reserve.ts'
import { assertMasterKey } from '../strategies/master-key.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type Directions, recordPlan } from './plan.ts'

/**
 * Records a move, and has it done. From before it is recorded this process works on it, though it may have to wait for its turn:
 * nobody takes it up meanwhile.
 *
 * @throws QuickScaleError `MASTER_KEY_WRONG`, what `recordPlan` throws, and what `drive` does
 */
export async function moveTo(
  workshop: Workshop,
  plans: Plans,
  key: string,
  directions: Directions,
  drive: (id: string) => Promise<Move>,
): Promise<Move> {
  // The target would be keyed, and its login encrypted, so that nobody else gets in.
  await assertMasterKey(workshop)
  const id = crypto.randomUUID()
  return await workshop.catalog.movers.holding(id, async () => {
    await recordPlan(workshop, plans, key, directions, id)
    return await drive(id)
  })
}
