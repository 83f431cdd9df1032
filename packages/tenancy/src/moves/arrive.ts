import type pg from 'pg'
import { type HeldMove, pointTo } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { inTransaction } from '../in-transaction.ts'
import { admitToTables } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type End, isWithinDatabase, writeEnd } from './end.ts'

/**
 * Writes down at the source that its target is opened, before it is: from now on the switch cannot be taken back. `active` here
 * means: maybe.
 *
 * @param client an administrator's connection to the source's database
 * @throws QuickScaleError `MOVE_TAKEN_OVER`
 */
export async function decideOpening(client: pg.ClientBase, held: HeldMove): Promise<void> {
  if (!isWithinDatabase(held)) await writeEnd(client, held, 'source', { state: 'active' })
}

/**
 * Opens the fence of the place that a tenant was switched to. Repeatable, and guarded by the epoch: a place that the
 * tenant has left again is not opened.
 *
 * @param client an administrator's connection to the place's database
 */
export async function openArrival(
  client: pg.ClientBase,
  held: HeldMove,
  { role, place }: End,
  epoch: number,
): Promise<void> {
  if (isWithinDatabase(held)) return
  const open = async (change: string): Promise<boolean> => {
    const { rowCount } = await client.query(`update quickscale.placement set state = 'active', ${change}`, [
      held.tenantId,
      epoch,
    ])
    if (rowCount === 0) await assertOpen(client, held, epoch)
    return rowCount !== 0
  }
  if (role === 'target') {
    // One statement, because the tenant is waiting.
    await open(`destination = null where tenant_id = $1 and state = 'pending' and epoch = $2`)
    return
  }
  await inTransaction(client, async () => {
    const opened = await open(
      `destination = null, epoch = $2 where tenant_id = $1 and state = 'moved' and epoch = $2 - 2`,
    )
    if (opened && place.database.kind === 'silo') await admitToTables(client, place.database, true)
  })
}

async function assertOpen(client: pg.ClientBase, held: HeldMove, epoch: number): Promise<void> {
  const { rows } = await client.query<{ state: string; epoch: number }>(
    'select state, epoch from quickscale.placement where tenant_id = $1',
    [held.tenantId],
  )
  if (rows[0] !== undefined && rows[0].epoch >= epoch) return
  const found = rows[0] === undefined ? 'no fence' : `${rows[0].state}, epoch ${rows[0].epoch}`
  throw new QuickScaleError('MOVE_STALLED', {
    move: held.id,
    reason: `the fence of the tenant's new place is not as it was left: ${found}`,
  })
}

/** Leads everybody to the place by the catalog too. Repeatable. */
export async function pointHere(
  { catalog }: Workshop,
  held: HeldMove,
  { role, strategy, place }: End,
  epoch: number,
): Promise<void> {
  await pointTo(
    catalog.db,
    held,
    { strategy, databaseId: place.database.id, schema: place.schemaName, epoch },
    role === 'target' ? 'tenant.moved' : 'tenant.moved_back',
  )
}
