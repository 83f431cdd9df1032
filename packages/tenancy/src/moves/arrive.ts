import type pg from 'pg'
import { type HeldMove, pointTo } from '../catalog/moves.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { findTenant } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { inTransaction } from '../in-transaction.ts'
import { admitToTables } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { refusalOf, type Tenant } from '../tenant.ts'
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
 * @param state what the tenant is: a suspended or an archived one is let in nowhere
 */
export async function openArrival(
  client: pg.ClientBase,
  held: HeldMove,
  { role, place }: End,
  epoch: number,
  state: OpenState,
): Promise<void> {
  if (isWithinDatabase(held)) return
  const open = async (change: string): Promise<boolean> => {
    const { rowCount } = await client.query(`update quickscale.placement set ${change}`, [
      held.tenantId,
      epoch,
    ])
    if (rowCount === 0) await assertOpen(client, held, epoch)
    return rowCount !== 0
  }
  const here = `where tenant_id = $1 and state = 'pending' and epoch = $2`
  if (role === 'target' && state === 'active') {
    // One statement, because the tenant is waiting.
    await open(`state = 'active', destination = null ${here}`)
    return
  }
  await inTransaction(client, async () => {
    const opened =
      role === 'target'
        ? await open(`state = '${state}', destination = null ${here}`)
        : await open(
            `state = 'active', destination = null, epoch = $2 where tenant_id = $1 and state = 'moved' and epoch = $2 - 2`,
          )
    if (opened) await admitAs(client, held, place.database, state)
  })
}

/**
 * What goes with the opening of a fence, in the same transaction. One that was left can only be opened, and is closed again for who
 * is let in nowhere, before anybody sees it.
 */
export async function admitAs(
  client: pg.ClientBase,
  { tenantId }: Pick<HeldMove, 'tenantId'>,
  database: DatabaseRecord,
  state: OpenState,
): Promise<void> {
  if (state !== 'active') {
    await client.query('update quickscale.placement set state = $2 where tenant_id = $1', [tenantId, state])
  }
  if (database.kind === 'silo') await admitToTables(client, database, state === 'active')
}

/** States of a tenant that is moved. */
export type OpenState = 'active' | 'suspended' | 'archived'

/** As the catalog has it: whoever changes that now finds no fence that would follow, until the place has opened. */
export async function readOpenState(
  { catalog }: Workshop,
  { tenantId }: Pick<HeldMove, 'tenantId'>,
): Promise<OpenState> {
  const tenant = await findTenant(catalog.db, { id: tenantId })
  if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenantId })
  return openStateOf(tenant)
}

/** @throws QuickScaleError when the tenant is in none of them */
export function openStateOf({ state, slug }: Pick<Tenant, 'state' | 'slug'>): OpenState {
  if (state === 'active' || state === 'suspended' || state === 'archived') return state
  throw new QuickScaleError(refusalOf[state], { key: slug })
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
