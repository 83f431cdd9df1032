import { type Kysely, sql } from 'kysely'
import { type DatabaseRecord, selectDatabases, toDatabase } from './places.ts'
import type { CatalogTables } from './tables.ts'

/** A database that tenants share, and how many of each strategy are in it. */
export interface SharedDatabase {
  readonly record: DatabaseRecord
  readonly rowTenants: number
  readonly schemaTenants: number
}

/**
 * Makes others who choose a place wait until this transaction ends, so that two of them cannot both take the last room
 * under a cap.
 */
export async function lockChoice(transaction: Kysely<CatalogTables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('quickscale choice', 0))`.execute(transaction)
}

/** In the order in which they were made. */
export async function listSharedDatabases(db: Kysely<CatalogTables>): Promise<SharedDatabase[]> {
  const rows = await selectDatabases(db)
    .select(['database.row_tenants', 'database.schema_tenants'])
    .where('database.kind', '=', 'shared')
    .orderBy('database.created_at')
    .orderBy('database.id')
    .execute()
  return rows.map((row) => ({
    record: toDatabase(row),
    rowTenants: row.row_tenants,
    schemaTenants: row.schema_tenants,
  }))
}

/** How many databases with one tenant each server has, by its name. */
export async function countSilos(db: Kysely<CatalogTables>): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('database')
    .innerJoin('server', 'server.id', 'database.server_id')
    .where('database.kind', '=', 'silo')
    .groupBy('server.name')
    .select(['server.name', ({ fn }) => fn.countAll<string>().as('count')])
    .execute()
  return new Map(rows.map(({ name, count }) => [name, Number(count)]))
}
