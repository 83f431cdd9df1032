import { type Kysely, sql } from 'kysely'
import { limits } from '../limits.ts'
import type { Move } from '../move.ts'
import type { Strategy, TenantState } from '../tenant.ts'
import { recordAudit } from './audit.ts'
import { toMove } from './moves.ts'
import { type DatabaseRecord, selectDatabases, toDatabase } from './places.ts'
import { lockChoice } from './reservations.ts'
import type { CatalogTables } from './tables.ts'

type Database = Kysely<CatalogTables>

/** A server as the catalog knows it; brought ones are none. */
export interface ServerRecord {
  readonly name: string
  /** Since when it takes no tenant; null when it does. */
  readonly drainingSince: Date | null
}

export async function listServers(db: Database): Promise<ServerRecord[]> {
  const rows = await db
    .selectFrom('server')
    .select(['name', 'draining_since as drainingSince'])
    .where('identity', 'is', null)
    .orderBy('created_at')
    .execute()
  return rows
}

export async function isDraining(db: Database, server: string): Promise<boolean> {
  const row = await db
    .selectFrom('server')
    .select('id')
    .where('name', '=', server)
    .where('draining_since', 'is not', null)
    .executeTakeFirst()
  return row !== undefined
}

/**
 * From the return on no place is chosen on the server, or again; what was chosen before is recorded by then. With its line
 * in the audit log.
 *
 * @returns false when the catalog does not know the server
 */
export async function setDraining(db: Database, server: string, draining: boolean): Promise<boolean> {
  return await db.transaction().execute(async (transaction) => {
    await lockChoice(transaction)
    const row = await transaction
      .selectFrom('server')
      .select('draining_since')
      .where('name', '=', server)
      .executeTakeFirst()
    if (row === undefined) return false
    if ((row.draining_since !== null) === draining) return true
    await transaction
      .updateTable('server')
      .set({ draining_since: draining ? sql<Date>`now()` : null })
      .where('name', '=', server)
      .execute()
    const action = draining ? 'server.draining' : 'server.undrained'
    await recordAudit(transaction, { action, tenantId: null, details: { server } })
    return true
  })
}

/** A tenant on a server, and where. */
export interface TenantOnServer {
  readonly id: string
  readonly slug: string
  readonly state: TenantState
  readonly plan: string
  readonly region: string | null
  /** It is on a move that is not finished. */
  readonly moving: boolean
  readonly strategy: Strategy
  readonly schema: string
  readonly database: DatabaseRecord
}

/** Which tenants of a server are meant. @defaultValue all */
export interface OnServerFilter {
  /** These only. */
  readonly ids?: readonly string[]
  /** Those with a schema or a database of their own. */
  readonly apart?: boolean
}

/** Tenants that live on a server, in the order of their ids. Who comes while they are looked at may be missing. */
export async function* eachTenantOn(
  db: Database,
  server: string,
  filter?: OnServerFilter,
): AsyncGenerator<TenantOnServer> {
  let page: TenantOnServer[] = []
  do {
    page = await listTenantsOn(db, server, page.at(-1)?.id ?? null, filter)
    yield* page
  } while (page.length === limits.tenantsPerPageMax)
}

/** The first page of them, or the one after a tenant. */
export async function listTenantsOn(
  db: Database,
  server: string,
  after: string | null = null,
  { ids, apart }: OnServerFilter = {},
): Promise<TenantOnServer[]> {
  let query = selectDatabases(db)
    .innerJoin('placement', 'placement.database_id', 'database.id')
    .innerJoin('tenant', 'tenant.id', 'placement.tenant_id')
    .select([
      'tenant.id as tenant_id',
      'tenant.slug',
      'tenant.state',
      'tenant.plan_id',
      'tenant.region',
      'placement.strategy',
      'placement.schema_name',
      ({ exists, selectFrom }) =>
        exists(
          selectFrom('move')
            .select('move.id')
            .whereRef('move.tenant_id', '=', 'tenant.id')
            .where('move.finished_at', 'is', null),
        )
          .$castTo<boolean>()
          .as('moving'),
    ])
    .where('server.name', '=', server)
    .orderBy('tenant.id')
    .limit(limits.tenantsPerPageMax)
  if (after !== null) query = query.where('tenant.id', '>', after)
  if (ids !== undefined) query = query.where('tenant.id', 'in', [...ids])
  if (apart === true) query = query.where('placement.strategy', '<>', 'rls')
  return (await query.execute()).map((row) => ({
    id: row.tenant_id,
    slug: row.slug,
    state: row.state,
    plan: row.plan_id,
    region: row.region,
    moving: row.moving,
    strategy: row.strategy,
    schema: row.schema_name,
    database: toDatabase(row),
  }))
}

/** How many tenants of each strategy live on each server, by its name. */
export async function countTenants(
  db: Database,
): Promise<ReadonlyMap<string, Readonly<Record<Strategy, number>>>> {
  const rows = await db
    .selectFrom('database')
    .innerJoin('server', 'server.id', 'database.server_id')
    .groupBy('server.name')
    .select(({ fn }) => [
      'server.name',
      fn.sum<string>('row_tenants').as('rls'),
      fn.sum<string>('schema_tenants').as('schema'),
      fn.countAll<string>().filterWhere('database.kind', '=', 'silo').as('database'),
    ])
    .execute()
  return new Map(
    rows.map(({ name, rls, schema, database }) => [
      name,
      { rls: Number(rls), schema: Number(schema), database: Number(database) },
    ]),
  )
}

/** How many tenants live on one server. */
export async function countTenantsOn(db: Database, server: string): Promise<number> {
  const counts = (await countTenants(db)).get(server)
  return counts === undefined ? 0 : counts.rls + counts.schema + counts.database
}

/** Databases of a server, in the order in which they were made. */
export async function listDatabasesOn(db: Database, server: string): Promise<DatabaseRecord[]> {
  const rows = await selectDatabases(db)
    .where('server.name', '=', server)
    .orderBy('database.created_at')
    .orderBy('database.id')
    .execute()
  return rows.map(toDatabase)
}

/** Moves from or to a server that are not finished: something of each is there. */
export async function listMovesOf(db: Database, server: string, limit: number): Promise<Move[]> {
  const rows = await db
    .selectFrom('move')
    .selectAll()
    .where('finished_at', 'is', null)
    .where(({ or, eb }) => or([eb('source_server', '=', server), eb('target_server', '=', server)]))
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(toMove)
}
