import type pg from 'pg'
import { type HeldMove, recordMove } from '../catalog/moves.ts'
import { findDatabase } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteQualified } from '../identifiers.ts'
import { streamNames } from '../move.ts'
import { handlers } from '../placements/handlers.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { claimEnd, type End, endOf, isWithinDatabase } from './end.ts'
import { apart, asHolder, type Sessions } from './session.ts'
import { dropPublication, dropSlot } from './stream/slot.ts'
import { differencesBetween, type MovedTable, readMigrationsOf, readTables } from './tables.ts'

/** Both places, ready for a copy: the target is there, up to date, empty and closed. */
export interface Prepared {
  readonly source: End
  readonly target: End
  readonly tables: readonly MovedTable[]
}

/**
 * Makes the target, or finds what an earlier attempt has left of it, and empties it. Nobody is led there: its fence, if it has
 * one of its own, is pending.
 *
 * @throws QuickScaleError `MOVE_REFUSED` when rows of the source would not fit
 */
export async function prepare(
  workshop: Workshop,
  sessions: Sessions,
  held: HeldMove,
  evict: () => Promise<void>,
): Promise<Prepared> {
  const source = endOf(held, 'source')
  const here = await sessions.open(source.place.database, 'source')
  await claimEnd(here, held, 'source', 'planned')
  await dropSlot(here, streamNames(held.id, 'source').slot)
  await dropPublication(here, streamNames(held.id, 'source').publication)
  await recordMove(workshop.catalog.db, held, { state: 'copying' })

  // Not beside a migration: after it one of the two would still be as it was.
  const { target, there, tables } = await apart(workshop, held, async () => {
    const target = await makeTarget(workshop, held)
    const there = await sessions.open(target.place.database, 'target')
    if (!isWithinDatabase(held)) await insertPendingFence(there, held, target)
    await claimEnd(there, held, 'target', 'planned')
    // One that claimed before us may have begun to write here.
    await evict()
    const tables = await readTables(here, source.place.schemaName)
    const differences = differencesBetween(tables, await readTables(there, target.place.schemaName))
    const [applied, wanted] = [
      await readMigrationsOf(here, source.place.schemaName),
      await readMigrationsOf(there, target.place.schemaName),
    ]
    if (applied !== wanted) differences.push('the two places have different migrations: run migrate() first')
    if (differences.length > 0) {
      throw new QuickScaleError('MOVE_REFUSED', { key: held.tenantId, reasons: differences.join('; ') })
    }
    return { target, there, tables }
  })
  await emptyTarget(there, held, target, tables)
  return { source, target, tables }
}

async function makeTarget(workshop: Workshop, held: HeldMove): Promise<End> {
  const target = endOf(held, 'target')
  await handlers[target.strategy].build(asHolder(workshop, held), held.tenantId, target.place, null)
  // A database that has just been made has its credential now.
  const { server, name } = target.place.database
  const database = await findDatabase(workshop.catalog.db, server, name)
  if (database === null)
    throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason: `${name} is gone` })
  return { ...target, place: { ...target.place, database } }
}

async function insertPendingFence(client: pg.ClientBase, held: HeldMove, target: End): Promise<void> {
  // Of an earlier move that was abandoned while this server was away.
  await client.query(
    `delete from quickscale.placement where tenant_id = $1 and state in ('pending', 'moved') and epoch <= $2`,
    [held.tenantId, held.epoch],
  )
  const { rows } = await client.query<{ state: string; epoch: number }>(
    `insert into quickscale.placement as known (tenant_id, epoch, state, schema_name) values ($1, $2, 'pending', $3)
     on conflict (tenant_id) do update set state = known.state
     returning state, epoch`,
    [held.tenantId, held.epoch + 1, target.place.schemaName],
  )
  const [fence] = rows
  if (fence?.state === 'pending' && fence.epoch === held.epoch + 1) return
  const reason = `${target.place.database.name} has a fence of the tenant already: ${fence?.state}, epoch ${fence?.epoch}`
  throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason })
}

/** What an interrupted copy has left, and what a tenant with a schema of its own may have written beside it. */
async function emptyTarget(
  client: pg.ClientBase,
  held: HeldMove,
  { strategy, place }: End,
  tables: readonly MovedTable[],
): Promise<void> {
  if (tables.length === 0) return
  const names = tables.map(({ name }) => quoteQualified(place.schemaName, name))
  // No trigger fires, no foreign key is in the way.
  await client.query('set session_replication_role = replica')
  if (strategy !== 'rls') {
    await client.query(`truncate ${names.join(', ')}`)
    return
  }
  for (const name of names) await client.query(`delete from ${name} where tenant_id = $1`, [held.tenantId])
}
