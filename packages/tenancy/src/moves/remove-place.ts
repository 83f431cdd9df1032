import type { HeldMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier, quoteQualified } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { dropDatabase, inspectDatabase, isOpen } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { countTenantRows } from '../strategies/tenant-rows.ts'
import { claimEnd, type End, forgetEnd, holdEnd, isWithinDatabase } from './end.ts'
import { apart, asHolder, type Sessions } from './session.ts'
import { readTables } from './tables.ts'
import { openThrottle } from './throttle.ts'

/** What a place is removed with. */
export interface RemovalWork {
  readonly workshop: Workshop
  readonly sessions: Sessions
  readonly held: HeldMove
  readonly share: number
}

/**
 * Takes away a place that the tenant does not live in, rows, fence and what it knows of the move, and looks whether anything is
 * left. Repeatable.
 *
 * @returns what it was, in words
 * @throws QuickScaleError `TENANT_REMAINS`
 */
export async function removePlace(work: RemovalWork, end: End): Promise<string> {
  const { workshop, sessions, held } = work
  if (await isOpen(workshop, end.place.database)) {
    await claimEnd(await sessions.open(end.place.database, 'claim'), held, end.role, 'planned')
  }
  const { left, removed } =
    end.strategy === 'database'
      ? await apart(workshop, held, () => removeDatabase(asHolder(workshop, held), end))
      : await removeShared(work, end)
  if (left.length > 0) {
    throw new QuickScaleError('TENANT_REMAINS', { key: held.tenantId, remains: left.join(', ') })
  }
  return removed
}

interface Removal {
  readonly removed: string
  /** What is there all the same. */
  readonly left: readonly string[]
}

async function removeDatabase(workshop: Workshop, { place }: End): Promise<Removal> {
  await dropDatabase(workshop, place.database)
  const left = await inspectDatabase(workshop, place.database)
  if (left.length === 0) {
    await workshop.catalog.db.deleteFrom('database').where('id', '=', place.database.id).execute()
  }
  return {
    removed: `database ${place.database.name}`,
    left: left.map(({ kind, name }) => `${kind} ${name}`),
  }
}

async function removeShared(
  { sessions, held, share }: RemovalWork,
  { role, strategy, place }: End,
): Promise<Removal> {
  const client = await sessions.open(place.database, 'purge')
  const { tenantId } = held
  let rows = 0
  if (strategy === 'schema') {
    await inTransaction(client, async () => {
      await holdEnd(client, held, role)
      await client.query(`drop schema if exists ${quoteIdentifier(place.schemaName)} cascade`)
      await client.query('delete from quickscale.migration where schema_name = $1', [place.schemaName])
    })
  } else {
    await client.query('set session_replication_role = replica')
    const throttle = await openThrottle(share, [client])
    for (const { name } of await readTables(client, place.schemaName)) {
      const table = quoteQualified(place.schemaName, name)
      // A little at a time: an old snapshot may still read what goes, and others want to write beside it.
      for (let gone: number = limits.purgeRows; gone > 0; ) {
        gone = await inTransaction(client, async () => {
          await holdEnd(client, held, role)
          const { rowCount } = await client.query(
            `delete from ${table} where tenant_id = $1 and ctid = any (array(
               select ctid from ${table} where tenant_id = $1 limit ${limits.purgeRows}))`,
            [tenantId],
          )
          return rowCount ?? 0
        })
        rows += gone
        await throttle.pass()
      }
    }
  }
  await inTransaction(client, async () => {
    await holdEnd(client, held, role)
    if (!isWithinDatabase(held)) {
      await client.query(
        `delete from quickscale.placement where tenant_id = $1 and state in ('pending', 'moved')`,
        [tenantId],
      )
    }
    await forgetEnd(client, held, role)
  })
  // Beside its schema too, unless its own rows are there.
  const beside =
    strategy === 'schema' && isWithinDatabase(held) ? [] : await countTenantRows(client, 'app', tenantId)
  return {
    removed: `${strategy === 'schema' ? `schema ${place.schemaName}` : `${rows} rows`} of ${place.database.name}`,
    left: [
      ...(strategy === 'schema' ? await schemaLeft(client, place.schemaName) : []),
      ...beside.map(({ name, count }) => `${count} rows ${name}`),
    ],
  }
}

async function schemaLeft(
  client: { query(text: string, values: unknown[]): Promise<{ rowCount: number | null }> },
  schema: string,
): Promise<string[]> {
  const { rowCount } = await client.query('select from pg_namespace where nspname = $1', [schema])
  return rowCount === 0 ? [] : [`schema ${schema}`]
}
