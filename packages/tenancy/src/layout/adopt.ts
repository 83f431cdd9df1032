import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { dropRefused } from './adopt/concede.ts'
import { moveExtensions } from './adopt/extensions.ts'
import { refuseFailingFunction } from './adopt/failing-functions.ts'
import { refuseFailingViews } from './adopt/failing-views.ts'
import { moveObjects, type Renamed } from './adopt/move.ts'
import { renameReservedConstraints } from './adopt/reserved-names.ts'
import { type Altered, adaptRoutines } from './adopt/routines.ts'
import { ownSequences } from './adopt/sequences.ts'
import { renameTenantColumns } from './adopt/tenant-columns.ts'
import { completeLayout } from './compile.ts'
import type { LayoutRefusal, Wall } from './shape.ts'

export type { Renamed } from './adopt/move.ts'
export type { Altered } from './adopt/routines.ts'

/** What adoption had to change. */
export interface Adoption {
  readonly renamed: readonly Renamed[]
  /** Functions that were adapted to the place. */
  readonly altered: readonly Altered[]
  /** What the layout could not make safe and is not there any more, and what depended on it. */
  readonly refused: readonly LayoutRefusal[]
}

/**
 * Makes a place of schemas that were written without this library: moves their objects to `schema`, dependencies
 * kept, drops what the layout refuses, and completes the rest. In one transaction; the tables must be empty.
 *
 * Columns called tenant_id become own_tenant_id, and what is called quickscale_… becomes own_quickscale_…. Names that two schemas use become `<schema>_<name>` from the second one on, in the order of `from`.
 *
 * @param client a superuser's connection to the database of the place, outside a transaction
 * @throws QuickScaleError `LAYOUT_REFUSED` with refusals that no DROP answers
 * @example await adoptSchemas(client, { from: ['public', 'sales'], schema: 'app', wall: { kind: 'rls' } })
 */
export async function adoptSchemas(
  client: pg.ClientBase,
  options: { from: readonly string[]; schema: string; wall: Wall },
): Promise<Adoption> {
  const { from, schema, wall } = options
  return await inTransaction(client, async () => {
    await client.query('set local search_path to pg_catalog, pg_temp')
    const refused = await moveExtensions(client, from)
    const columns = await renameTenantColumns(client, from)
    const constraints = await renameReservedConstraints(client, from)
    const objects = await moveObjects(client, { from, schema })
    const renamed = [...columns, ...constraints, ...objects]
    await ownSequences(client, schema)
    const altered = await adaptRoutines(client, { from, schema, renamed })
    await client.query('reset search_path')
    for (let attempt = 1; ; attempt += 1) {
      const refusals = await tryToComplete(client, { schema, wall })
      if (refusals === null) {
        refused.push(...(await dropRefused(client, schema, await refuseFailingViews(client, schema))))
        return { renamed, altered, refused }
      }
      if (attempt >= limits.adoptionAttemptsMax) throw refusals.error
      refused.push(...(await dropRefused(client, schema, refusals.list)))
    }
  })
}

/** Null when it is complete; otherwise nothing of the attempt is left. */
async function tryToComplete(
  client: pg.ClientBase,
  place: { schema: string; wall: Wall },
): Promise<{ list: readonly LayoutRefusal[]; error: QuickScaleError } | null> {
  await client.query('savepoint quickscale_adoption')
  try {
    await completeLayout(client, place)
    await client.query('release savepoint quickscale_adoption')
    return null
  } catch (error) {
    if (!(error instanceof pg.DatabaseError || isRefusal(error))) throw error
    // Role and search_path of the attempt are undone as well.
    await client.query('rollback to savepoint quickscale_adoption')
    const refusal = isRefusal(error) ? error : await refuseFailingFunction(client, place.schema, error)
    return { list: refusal.details.refusals as readonly LayoutRefusal[], error: refusal }
  }
}

function isRefusal(error: unknown): error is QuickScaleError {
  return error instanceof QuickScaleError && error.code === 'LAYOUT_REFUSED'
}
