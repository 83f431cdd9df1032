import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../identifiers.ts'
import { dropOrphanedChecks, refuseConstraintNames } from './compile/checks.ts'
import { refuseColumns } from './compile/columns.ts'
import { restoreComments } from './compile/comments.ts'
import { addForeignKeys, dropForeignKeys, refuseForeignKeys } from './compile/foreign-keys.ts'
import { grantRights, refuseGrants } from './compile/grants.ts'
import { groupByEveryColumn } from './compile/grouped-views.ts'
import { convertSerials, refuseSequences } from './compile/identity.ts'
import { createIndexes, dropIndexes, helpersOf, refuseIndexes } from './compile/indexes.ts'
import { refuseKeys } from './compile/keys.ts'
import { attachIndexes, preparePartitioned, refusePartitions } from './compile/partitions.ts'
import { completeRoutines, refuseRoutines } from './compile/routines.ts'
import { refuseShared } from './compile/shared.ts'
import { refuseOutsiders, refuseStrangers } from './compile/strangers.ts'
import { completeTable, refuseTables } from './compile/tables.ts'
import { guardTables, refuseTriggers } from './compile/triggers.ts'
import { completeTypes, refuseTypes } from './compile/types.ts'
import { completeViews, refuseViews, viewsOnLostKeys } from './compile/views.ts'
import { createPolicy, refuseBrokenWall, refuseForeignWall, tenantClauses } from './compile/walls.ts'
import { ensureHelpers } from './extensions.ts'
import { introspect, introspectState } from './introspect.ts'
import { asMigrator } from './migrator.ts'
import { layoutRefused } from './refused.ts'
import { type LayoutRefusal, OWN_CHECK, type Shape, type State, type Table, type Wall } from './shape.ts'

export type { LayoutRefusal, Wall } from './shape.ts'

// The author writes the schema of one tenant; this makes it the same shape in all three strategies:
//
//   introspect   one query over the catalogs, whatever the migration did
//   refuse       everything that is not known to be safe, all of it at once
//   complete     the statements below, in one round trip
//   introspect   again, after the last migration of a transaction: nothing may be left to do or to refuse, or it is not to be
//                committed
//
// State decides, not history: an object is new while quickscale_migrator owns it, complete when quickscale_owner
// does, and what is complete is checked but never touched.

/**
 * Completes, inside the caller's open transaction, whatever migrations made in `schema`: `tenant_id` in every table,
 * key, index and foreign key, row security, rights. Objects that are complete already are left alone, so it can run
 * after every migration; a second run changes nothing. Runs as quickscale_migrator, for which policies are inactive:
 * a foreign key validated through a policy is validated against the visible rows only.
 *
 * @param client an administrator's connection in a transaction; `search_path` and role are as before when it returns
 * @param options `unfinished`: it is called again in this transaction, and what it did is verified then
 * @throws QuickScaleError `LAYOUT_REFUSED` with every {@link LayoutRefusal} in `details.refusals`
 * @example await completeLayout(client, { schema: 'app', wall: { kind: 'rls' } })
 */
export async function completeLayout(
  client: pg.ClientBase,
  options: { schema: string; wall: Wall; unfinished?: boolean },
): Promise<void> {
  const { schema, wall, unfinished = false } = options
  await asMigrator(client, async () => {
    const shape = await introspectGrouped(client, schema, wall)
    const state = await introspectState(client, shape)
    throwRefusals(refusalsOf(shape, state, wall))
    const statements = statementsOf(shape, state, wall)
    if (statements.length === 0) return
    await ensureHelpers(client, helpersOf(shape, wall))
    await client.query(statements.join(';\n'))
    if (!unfinished) await verify(client, schema, wall)
  })
}

/**
 * Gives the clone of a silo template its tenant: check and default on every table, in one round trip. Repeatable.
 *
 * @param client an administrator's connection to the clone, in a transaction
 * @throws QuickScaleError `LAYOUT_REFUSED` when the layout is incomplete or another tenant's
 * @example await raiseSiloWall(client, { schema: 'app', tenantId: '0198c0de-0000-7000-8000-000000000000' })
 */
export async function raiseSiloWall(
  client: pg.ClientBase,
  options: { schema: string; tenantId: string },
): Promise<void> {
  const { schema, tenantId } = options
  const wall: Wall = { kind: 'database', tenantId }
  await asMigrator(client, async () => {
    const { tables } = await introspectOrRefuse(client, schema)
    const statements = tables
      .filter(({ partitionOf, shared }) => partitionOf === null && !shared)
      .filter(({ constraints }) => constraints.every(({ name }) => name !== OWN_CHECK))
      .map(({ name }) => `alter table ${quoteQualified(schema, name)} ${tenantClauses(wall).join(', ')}`)
    if (statements.length > 0) await client.query(statements.join(';\n'))
    await verify(client, schema, wall)
  })
}

/** With the views that can do without a key that changes. */
async function introspectGrouped(client: pg.ClientBase, schema: string, wall: Wall): Promise<Shape> {
  const shape = await introspectOrRefuse(client, schema)
  const changed = await groupByEveryColumn(client, schema, viewsOnLostKeys(shape, wall))
  return changed ? await introspectOrRefuse(client, schema) : shape
}

async function introspectOrRefuse(client: pg.ClientBase, schema: string): Promise<Shape> {
  const shape = await introspect(client, schema)
  if (shape) return shape
  throw layoutRefused([
    {
      kind: 'schema',
      object: schema,
      reason: `there is no schema ${quoteIdentifier(schema)}`,
      remedy: 'Create it before its migrations run, and leave it there.',
    },
  ])
}

/**
 * What is wrong with a place that should be complete; empty when all is well. Changes nothing.
 *
 * @param client an administrator's connection in a transaction
 * @example const faults = await findLayoutFaults(client, { schema: 'app', wall: { kind: 'rls' } })
 */
export async function findLayoutFaults(
  client: pg.ClientBase,
  { schema, wall }: { schema: string; wall: Wall },
): Promise<readonly LayoutRefusal[]> {
  return await asMigrator(client, () => findFaults(client, schema, wall))
}

async function verify(client: pg.ClientBase, schema: string, wall: Wall): Promise<void> {
  throwRefusals(await findFaults(client, schema, wall))
}

async function findFaults(
  client: pg.ClientBase,
  schema: string,
  wall: Wall,
): Promise<readonly LayoutRefusal[]> {
  const shape = await introspectOrRefuse(client, schema)
  const state: State = { filled: new Set(), positions: new Map() }
  const refusals = refusalsOf(shape, state, wall)
  if (refusals.length > 0) return refusals
  return statementsOf(shape, state, wall).map((statement) => ({
    kind: 'layout',
    object: schema,
    reason: `completion did not have its effect: ${statement}`,
    remedy: 'Check that quickscale_owner owns the schema and quickscale_migrator is a member of it.',
  }))
}

function refusalsOf(shape: Shape, state: State, wall: Wall): LayoutRefusal[] {
  return [
    ...refuseStrangers(shape),
    ...refuseOutsiders(shape),
    ...refuseTypes(shape),
    ...refuseRoutines(shape, wall),
    ...refuseTriggers(shape),
    ...refuseTables(shape, state),
    ...refusePartitions(shape),
    ...refuseColumns(shape),
    ...refuseKeys(shape),
    ...refuseIndexes(shape, wall),
    ...refuseForeignKeys(shape),
    ...refuseConstraintNames(shape),
    ...refuseSequences(shape),
    ...refuseViews(shape, wall),
    ...refuseGrants(shape, wall),
    ...refuseShared(shape),
    ...shape.tables.flatMap((table) => refuseWall(table, wall)),
  ]
}

function refuseWall(table: Table, wall: Wall): LayoutRefusal[] {
  return table.known && !table.shared ? refuseBrokenWall(table, wall) : refuseForeignWall(table)
}

function statementsOf(shape: Shape, state: State, wall: Wall): string[] {
  const { name: schema } = shape.schema
  return [
    ...completeTypes(shape),
    ...completeRoutines(shape),
    ...dropForeignKeys(shape, wall),
    ...shape.tables.flatMap((table) => dropOrphanedChecks(schema, table)),
    ...dropIndexes(shape, wall),
    ...convertSerials(shape, state),
    ...shape.tables.flatMap((table) => preparePartitioned(schema, table, wall)),
    ...shape.tables.flatMap((table) => completeTable(schema, table, wall)),
    ...shape.tables
      .filter(({ known, shared }) => !known && !shared)
      .map((table) => createPolicy(schema, table, wall)),
    ...shape.tables.flatMap((table) => createIndexes(schema, table, wall)),
    ...attachIndexes(shape, wall),
    ...shape.tables.flatMap((table) => addForeignKeys(shape, table, wall)),
    ...guardTables(shape),
    ...completeViews(shape),
    ...grantRights(shape, wall),
    ...restoreComments(shape, wall),
  ]
}

function throwRefusals(refusals: readonly LayoutRefusal[]): void {
  if (refusals.length > 0) throw layoutRefused(refusals)
}
