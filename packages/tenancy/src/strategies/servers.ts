import type pg from 'pg'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { ResolvedConfig } from '../config.ts'
import { QuickScaleError } from '../errors.ts'
import { isBroughtServer, primaryServer, type ResolvedServer } from '../server-config.ts'
import type { PoolerTraits } from '../session/scope.ts'
import { type Administrator, createAdministrator, loginUrl } from './administrator.ts'

/** How tenants' connections come to a server: directly, or through a transaction pooler. */
export interface Entrance {
  loginUrlOf(databaseName: string, role: string, password: string): string
  readonly pooler: PoolerTraits | null
}

/** A server that tenants live on. */
export interface Server {
  readonly name: string
  readonly administrator: Administrator
  readonly entrance: Entrance
  readonly traits: Pick<ResolvedServer, 'region' | 'labels' | 'private' | 'weight' | 'caps'>
  /** How many databases wait there for tenants to come. */
  readonly warmDatabases: number
}

/** Enough of a record to find the database. */
export type Located = Pick<DatabaseRecord, 'server' | 'name'>

/** The servers of an installation. Their URLs hold passwords: nothing here is for messages but names. */
export interface Servers {
  /** The one that holds the catalog. */
  readonly primary: Server
  /** In the order of the configuration, the primary one first. */
  readonly all: readonly Server[]
  /** @throws QuickScaleError `SERVER_UNKNOWN` */
  of(name: string): Promise<Server>
  /** Runs `work` as the administrator, on a connection to the database that is closed afterwards. */
  connected<T>(database: Located, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** Runs `work` as the administrator, on a kept connection to a shared database. */
  pooled<T>(database: Located, work: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** Runs `work` as the administrator, where databases are created from. */
  onServer<T>(name: string, work: (client: pg.ClientBase) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @param findBrought the server of a database that a customer has brought, as the catalog knows it now */
export function createServers(
  config: Pick<ResolvedConfig, 'databaseUrl' | 'pooler' | 'servers'>,
  findBrought: (name: string) => Promise<Server | null>,
): Servers {
  const open = ([name, { url = config.databaseUrl, pooler, warmDatabases, ...traits }]: [
    string,
    ResolvedServer,
  ]): Server => ({
    name,
    traits,
    warmDatabases,
    administrator: createAdministrator(url),
    entrance: createEntrance(url, name === primaryServer ? config.pooler : pooler),
  })
  const servers = new Map(Object.entries(config.servers).map((entry) => [entry[0], open(entry)]))
  const find = async (name: string) => {
    const server = servers.get(name) ?? (isBroughtServer(name) ? await findBrought(name) : null)
    if (server !== null) return server
    throw new QuickScaleError('SERVER_UNKNOWN', { server: name, known: [...servers.keys()].join(', ') })
  }
  const primary = servers.get(primaryServer)
  if (primary === undefined) throw new QuickScaleError('SERVER_UNKNOWN', { server: primaryServer })
  return {
    primary,
    all: [...servers.values()],
    of: find,
    connected: async ({ server, name }, work) => (await find(server)).administrator.connected(name, work),
    pooled: async ({ server, name }, work) => (await find(server)).administrator.pooled(name, work),
    onServer: async (name, work) => {
      const { administrator } = await find(name)
      // No connection is kept on a server of a customer.
      if (isBroughtServer(name)) return await administrator.connected(administrator.maintenanceDatabase, work)
      return await administrator.pooled(administrator.maintenanceDatabase, work)
    },
    close: async () => {
      await Promise.all([...servers.values()].map(({ administrator }) => administrator.close()))
    },
  }
}

/** Nobody is placed there but the tenant whose database it is. */
export const broughtServerTraits = {
  labels: [],
  private: true,
  weight: 1,
  caps: { databases: 1, sharedDatabases: 1, rowTenantsPerDatabase: 1, schemasPerDatabase: 1 },
} as const

/** The server of one brought database. It is no candidate for anybody else, and has no pooler. */
export function createBroughtServer(name: string, url: string): Server {
  return {
    name,
    traits: broughtServerTraits,
    warmDatabases: 0,
    administrator: createAdministrator(url),
    entrance: createEntrance(url, undefined),
  }
}

function createEntrance(url: string, pooler: ResolvedServer['pooler']): Entrance {
  const base = pooler?.url ?? url
  return {
    loginUrlOf: (databaseName, role, password) => loginUrl(base, databaseName, role, password),
    pooler: pooler === undefined ? null : { namedStatements: pooler.namedStatements },
  }
}
