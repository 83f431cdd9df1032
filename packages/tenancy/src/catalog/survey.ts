import type { Kysely } from 'kysely'
import type { TenantState } from '../tenant.ts'
import { type DatabaseRecord, selectDatabases, toDatabase } from './places.ts'
import type { CatalogTables } from './tables.ts'

/** What the catalog believes of one tenant in one database. */
export interface PlacedTenant {
  readonly tenantId: string
  readonly state: TenantState
  /** Its place has followed its state. */
  readonly settled: boolean
  readonly epoch: number
  readonly schemaName: string
}

/** Databases that are ready, one page in the order of their ids. */
export async function listDatabases(
  db: Kysely<CatalogTables>,
  after: string | null,
  limit: number,
): Promise<DatabaseRecord[]> {
  let query = selectDatabases(db).where('database.ready', '=', true).orderBy('database.id').limit(limit)
  if (after !== null) query = query.where('database.id', '>', after)
  return (await query.execute()).map(toDatabase)
}

/** Databases that are no tenant's own, ready or not: those of each server that tenants share, and its template. */
export async function listCommonDatabases(db: Kysely<CatalogTables>): Promise<DatabaseRecord[]> {
  const rows = await selectDatabases(db)
    .where('database.kind', 'in', ['shared', 'template'])
    .orderBy('database.created_at')
    .orderBy('database.id')
    .execute()
  return rows.map(toDatabase)
}

/** Tenants placed in one database, one page in the order of their ids. */
export async function listPlacedTenants(
  db: Kysely<CatalogTables>,
  databaseId: string,
  after: string | null,
  limit: number,
): Promise<PlacedTenant[]> {
  let query = db
    .selectFrom('placement')
    .innerJoin('tenant', 'tenant.id', 'placement.tenant_id')
    .select([
      'tenant.id as tenantId',
      'tenant.state',
      'tenant.settled',
      'placement.epoch',
      'placement.schema_name as schemaName',
    ])
    .where('placement.database_id', '=', databaseId)
    .orderBy('tenant.id')
    .limit(limit)
  if (after !== null) query = query.where('tenant.id', '>', after)
  return await query.execute()
}
