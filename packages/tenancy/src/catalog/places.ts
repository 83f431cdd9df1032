import type { Kysely, Selectable } from 'kysely'
import type { Placement, Strategy, TenantState } from '../tenant.ts'
import type { Envelope } from './credentials.ts'
import type { CatalogTables } from './tables.ts'
import type { TenantKey } from './tenants.ts'

/** A database that tenants live in, and how to reach it. */
export interface DatabaseRecord {
  readonly id: string
  readonly name: string
  /** warm: made for one tenant, who has yet to come. */
  readonly kind: 'shared' | 'silo' | 'template' | 'warm'
  /** Name of its server. */
  readonly server: string
  readonly host: string
  readonly port: number
  readonly loginRole: string
  readonly credential: Envelope | null
  readonly ready: boolean
  /** Of a database that waits for its tenant, or did: the id that the tenant has then. */
  readonly forTenant: string | null
  /** A customer's own, on a server that the configuration does not name. */
  readonly brought: boolean
  /** Grows when the URL of its server is replaced. */
  readonly revision: number
}

/** Everything routing needs to know of a tenant, in one query. */
export interface RouteRecord {
  readonly tenantId: string
  readonly slug: string
  readonly state: TenantState
  readonly placement: Placement
  readonly database: DatabaseRecord
  /** The generation of token keys that tokens are sealed with. */
  readonly tokenKeyId: string
}

export async function findRoute(db: Kysely<CatalogTables>, key: TenantKey): Promise<RouteRecord | null> {
  const query = selectDatabases(db)
    .innerJoin('placement', 'placement.database_id', 'database.id')
    .innerJoin('tenant', 'tenant.id', 'placement.tenant_id')
    .innerJoin('token_key', (join) => join.on('token_key.state', '=', 'sealing'))
    .select([
      'token_key.id as token_key_id',
      'tenant.id as tenant_id',
      'tenant.slug',
      'tenant.state',
      'placement.strategy',
      'placement.schema_name',
      'placement.epoch',
    ])
  const row = await ('id' in key
    ? query.where('tenant.id', '=', key.id)
    : query.where('tenant.slug', '=', key.slug)
  ).executeTakeFirst()
  if (row === undefined) return null
  return {
    tenantId: row.tenant_id,
    slug: row.slug,
    state: row.state,
    placement: toPlacement(row),
    database: toDatabase(row),
    tokenKeyId: row.token_key_id,
  }
}

/** Registers a database that is about to be made, or returns the record of an earlier attempt. */
export async function registerDatabase(
  db: Kysely<CatalogTables>,
  database: { serverName: string; name: string; kind: DatabaseRecord['kind']; loginRole: string },
): Promise<DatabaseRecord> {
  await db
    .insertInto('database')
    .columns(['server_id', 'name', 'kind', 'login_role'])
    .expression((expression) =>
      expression
        .selectFrom('server')
        .where('server.name', '=', database.serverName)
        .select((value) => [
          'server.id',
          value.val(database.name).as('name'),
          value.val(database.kind).as('kind'),
          value.val(database.loginRole).as('login_role'),
        ]),
    )
    .onConflict((conflict) => conflict.columns(['server_id', 'name']).doNothing())
    .execute()
  return toDatabase(await selectNamed(db, database.serverName, database.name).executeTakeFirstOrThrow())
}

export async function markDatabaseReady(
  db: Kysely<CatalogTables>,
  id: string,
  credential: Envelope,
): Promise<void> {
  await db
    .updateTable('database')
    .set({ ready: true, credential: JSON.stringify(credential) })
    .where('id', '=', id)
    .execute()
}

export async function findDatabase(
  db: Kysely<CatalogTables>,
  server: string,
  name: string,
): Promise<DatabaseRecord | null> {
  const row = await selectNamed(db, server, name).executeTakeFirst()
  return row === undefined ? null : toDatabase(row)
}

export async function findDatabaseById(
  db: Kysely<CatalogTables>,
  id: string,
): Promise<DatabaseRecord | null> {
  const row = await selectDatabases(db).where('database.id', '=', id).executeTakeFirst()
  return row === undefined ? null : toDatabase(row)
}

/** Databases of two servers may have the same name. */
function selectNamed(db: Kysely<CatalogTables>, server: string, name: string) {
  return selectDatabases(db).where('server.name', '=', server).where('database.name', '=', name)
}

/** Records where a tenant is to live; an earlier attempt's row stays as it is. */
export async function insertPlacement(
  db: Kysely<CatalogTables>,
  placement: { tenantId: string; strategy: Strategy; databaseId: string; schemaName: string },
): Promise<void> {
  await db
    .insertInto('placement')
    .values({
      tenant_id: placement.tenantId,
      strategy: placement.strategy,
      database_id: placement.databaseId,
      schema_name: placement.schemaName,
      epoch: 1,
    })
    .onConflict((conflict) => conflict.column('tenant_id').doNothing())
    .execute()
}

/** Placements whose tables are their tenant's alone, one page in the order of their ids. */
export async function listPrivatePlacements(
  db: Kysely<CatalogTables>,
  after: string | null,
  limit: number,
): Promise<{ placement: Placement; database: DatabaseRecord }[]> {
  let query = selectDatabases(db)
    .innerJoin('placement', 'placement.database_id', 'database.id')
    .select(['placement.tenant_id', 'placement.strategy', 'placement.schema_name', 'placement.epoch'])
    .innerJoin('tenant', 'tenant.id', 'placement.tenant_id')
    .where('placement.strategy', '<>', 'rls')
    // Of these the place is half made or half gone; whoever goes on making it brings it up to date.
    .where('tenant.state', 'not in', ['provisioning', 'deleting'])
    .where('database.ready', '=', true)
    .orderBy('placement.tenant_id')
    .limit(limit)
  if (after !== null) query = query.where('placement.tenant_id', '>', after)
  return (await query.execute()).map((row) => ({
    placement: toPlacement(row),
    database: toDatabase(row),
  }))
}

export function selectDatabases(db: Kysely<CatalogTables>) {
  return db
    .selectFrom('database')
    .innerJoin('server', 'server.id', 'database.server_id')
    .select([
      'database.id',
      'database.name',
      'database.kind',
      'database.login_role',
      'database.credential',
      'database.ready',
      'database.for_tenant',
      'server.name as server',
      'server.host',
      'server.port',
      'server.revision',
      (value) => value('server.identity', 'is not', null).$castTo<boolean>().as('brought'),
    ])
}

/** Enough of a row, of selectDatabases or from SQL, to make a record of it. */
export type DatabaseRow = Selectable<
  Pick<
    CatalogTables['database'],
    'id' | 'name' | 'kind' | 'login_role' | 'credential' | 'ready' | 'for_tenant'
  >
> &
  Pick<Selectable<CatalogTables['server']>, 'host' | 'port' | 'revision'> & {
    server: string
    brought: boolean
  }

export function toDatabase(row: DatabaseRow): DatabaseRecord {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    server: row.server,
    host: row.host,
    port: row.port,
    loginRole: row.login_role,
    credential: row.credential,
    ready: row.ready,
    forTenant: row.for_tenant,
    brought: row.brought,
    revision: row.revision,
  }
}

type PlacementRow = Omit<Selectable<CatalogTables['placement']>, 'database_id'> &
  Pick<DatabaseRow, 'id' | 'name'>

function toPlacement(row: PlacementRow): Placement {
  return {
    tenantId: row.tenant_id,
    strategy: row.strategy,
    databaseId: row.id,
    databaseName: row.name,
    schemaName: row.schema_name,
    epoch: row.epoch,
  }
}
