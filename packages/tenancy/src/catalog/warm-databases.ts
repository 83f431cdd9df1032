import type { Kysely } from 'kysely'
import { type DatabaseRecord, selectDatabases, toDatabase } from './places.ts'
import type { CatalogTables } from './tables.ts'

/** A database that waits for a tenant. */
export interface WarmDatabase {
  readonly record: DatabaseRecord
  /** The id that its tenant will have. */
  readonly tenantId: string
  /** What it has been brought up to; null while it is in the making. */
  readonly shape: string | null
}

/** In the order in which they were made. */
export async function listWarmDatabases(db: Kysely<CatalogTables>, server?: string): Promise<WarmDatabase[]> {
  let query = selectDatabases(db)
    .select('database.shape')
    .where('database.kind', '=', 'warm')
    .orderBy('database.created_at')
    .orderBy('database.id')
  if (server !== undefined) query = query.where('server.name', '=', server)
  return (await query.execute()).flatMap((row) =>
    row.for_tenant === null ? [] : [{ record: toDatabase(row), tenantId: row.for_tenant, shape: row.shape }],
  )
}

/** Registers a database that is about to be made for a tenant to come. */
export async function registerWarmDatabase(
  db: Kysely<CatalogTables>,
  { server, name, tenantId }: { server: string; name: string; tenantId: string },
): Promise<void> {
  await db
    .insertInto('database')
    .columns(['server_id', 'name', 'kind', 'login_role', 'for_tenant'])
    .expression((expression) =>
      expression
        .selectFrom('server')
        .where('server.name', '=', server)
        .select((value) => [
          'server.id',
          value.val(name).as('name'),
          value.val('warm').as('kind'),
          value.val(name).as('login_role'),
          value.val(tenantId).as('for_tenant'),
        ]),
    )
    .execute()
}

/** From now on it may be claimed by whoever wants this shape. */
export async function offerWarmDatabase(db: Kysely<CatalogTables>, id: string, shape: string): Promise<void> {
  await db.updateTable('database').set({ shape }).where('id', '=', id).where('kind', '=', 'warm').execute()
}

/** From now on nobody claims it, and it is in the making. @returns false when somebody has claimed it */
export async function withholdWarmDatabase(db: Kysely<CatalogTables>, id: string): Promise<boolean> {
  const row = await db
    .updateTable('database')
    .set({ shape: null, ready: false })
    .where('id', '=', id)
    .where('kind', '=', 'warm')
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}
