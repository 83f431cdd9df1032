import { listSupply } from '../catalog/reservations.ts'
import { listDatabasesOn } from '../catalog/servers.ts'
import { limits } from '../limits.ts'
import type { Server } from '../strategies/servers.ts'
import { installationNames, type Workshop } from '../strategies/strategy.ts'
import type { Strategy, TenantState } from '../tenant.ts'
import { measureServer } from './rebalance/survey.ts'

/** A database on a server. */
export interface ServerDatabase {
  readonly name: string
  /** shared: of many tenants. silo: of one. template: what silos are cloned from. warm: waits for its tenant. */
  readonly kind: 'catalog' | 'shared' | 'silo' | 'template' | 'warm'
}

/** A tenant on a server, and how much of it is its own. */
export interface TenantLoad {
  /** Its slug. */
  readonly tenant: string
  readonly state: TenantState
  readonly strategy: Strategy
  readonly database: string
  /** Of one in shared tables an estimate by its rows. */
  readonly bytes: number
  /** Milliseconds for which its work has had a connection, fading within a week. */
  readonly busyMs: number
}

/** What is on a server. */
export interface ServerDetails {
  /** In the order in which they were made; bytes are null of one that is yet to be made. */
  readonly databases: readonly (ServerDatabase & { readonly bytes: number | null })[]
  /** The biggest ones, 20 at most. */
  readonly biggest: readonly TenantLoad[]
}

export async function databasesOn(
  { catalog, servers, installation }: Workshop,
  name: string,
): Promise<ServerDatabase[]> {
  const known = (await listDatabasesOn(catalog.db, name)).map((record) => ({
    name: record.name,
    kind: record.kind,
  }))
  const control = { name: installationNames(installation).catalog, kind: 'catalog' as const }
  return name === servers.primary.name ? [control, ...known] : known
}

/** @throws QuickScaleError `SERVER_UNREACHABLE` */
export async function examineServer(workshop: Workshop, server: Server): Promise<ServerDetails> {
  const { servers, catalog } = workshop
  const databases = await databasesOn(workshop, server.name)
  const { rows } = await servers.onServer(server.name, (client) =>
    client.query<{ name: string; bytes: number }>(
      'select datname::text as name, pg_database_size(oid)::float8 as bytes from pg_database where datname = any ($1)',
      [databases.map(({ name }) => name)],
    ),
  )
  const bytes = new Map(rows.map((row) => [row.name, row.bytes]))
  const { shared } = await listSupply(catalog.db, 'schema')
  const here = shared.filter(({ record }) => record.server === server.name && record.ready)
  const { tenants, activity } = await measureServer(workshop, server, here, 0)
  const biggest = tenants
    .map(({ tenant: { id, slug, state, strategy, database }, bytes: size }) => ({
      tenant: slug,
      state,
      strategy,
      database: database.name,
      bytes: Math.round(size),
      busyMs: Math.round(activity.tenants.get(id) ?? 0),
    }))
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, limits.serverTenantsListed)
  return { databases: databases.map((each) => ({ ...each, bytes: bytes.get(each.name) ?? null })), biggest }
}
