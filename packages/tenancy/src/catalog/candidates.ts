import type { Kysely } from 'kysely'
import type { CatalogTables } from './tables.ts'

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
