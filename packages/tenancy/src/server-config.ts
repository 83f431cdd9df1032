import { z } from 'zod'
import { limits } from './limits.ts'

/** The server that `databaseUrl` names: it holds the catalog, and tenants like any other. */
export const primaryServer = 'primary'

/** What the server of a brought database is called; no name in a configuration has a colon. */
export function broughtServerName(tenantId: string): string {
  return `brought:${tenantId}`
}

/** The tenant whose database is on the server of this name. */
export function tenantOfBrought(serverName: string): string {
  return serverName.slice(serverName.indexOf(':') + 1)
}

export function isBroughtServer(name: string): boolean {
  return name.startsWith('brought:')
}

/** A transaction pooler, PgBouncer for instance, in front of a server. */
export interface PoolerConfig {
  /** `postgres://` URL; database, user and password are replaced by those of the tenants' databases. */
  url: string
  /**
   * It makes prepared statements known to every backend (PgBouncer from 1.21 on, with `max_prepared_statements`).
   * @defaultValue false
   */
  namedStatements?: boolean | undefined
}

/** What holds for databases that customers bring. */
export interface BroughtDatabasesConfig {
  /**
   * Refuses one whose connection is not encrypted.
   * @defaultValue true
   */
  requireTls?: boolean | undefined
  /**
   * Connections to the server of one brought database, those of fleet queries included, 1 to 200.
   * @defaultValue 20
   */
  connections?: number | undefined
}

/** How much a server may hold. */
export interface ServerCaps {
  /**
   * Databases of one tenant each.
   * @defaultValue 5000
   */
  databases?: number | undefined
  /**
   * Databases that tenants share; another one is made when all are full.
   * @defaultValue 50
   */
  sharedDatabases?: number | undefined
  /**
   * Tenants of the strategy `rls` in one shared database.
   * @defaultValue 1000000
   */
  rowTenantsPerDatabase?: number | undefined
  /**
   * Tenants of the strategy `schema` in one shared database.
   * @defaultValue 100
   */
  schemasPerDatabase?: number | undefined
}

/** What a plan, or a tenant, asks of its server. */
export interface PlacementRules {
  /** Name of the server, a private one for instance. @defaultValue any that is not private */
  server?: string | undefined
  /** The region that the data must stay in. @defaultValue any */
  region?: string | undefined
  /** Labels that the server must have, all of them. @defaultValue none */
  labels?: readonly string[] | undefined
}

/** A server that tenants live on. */
export interface ServerConfig {
  /**
   * `postgres://` URL of an administrator of the server (CREATEDB, CREATEROLE, BYPASSRLS). Required, but for `primary`:
   * that is where `databaseUrl` leads.
   */
  url?: string | undefined
  /**
   * Queries of tenants on this server go through this pooler; for `primary` it is the configuration's own `pooler`.
   * @defaultValue none
   */
  pooler?: PoolerConfig | undefined
  /**
   * Where it is, in words of your own (`eu`, `us-east`): 1 to 63 characters of a-z, 0-9 and `-`.
   * @defaultValue none: a tenant that must stay in a region is refused
   */
  region?: string | undefined
  /**
   * What plans may ask for (`ssd`, `hipaa`), of the same characters; 20 at most.
   * @defaultValue none
   */
  labels?: readonly string[] | undefined
  /**
   * It takes only tenants that are pinned to it, by their plan or by themselves.
   * @defaultValue false
   */
  private?: boolean | undefined
  /**
   * How much of the load it is to carry, in relation to others: one of weight 2 twice as much as one of weight 1; 0.001 to 1000.
   * @defaultValue 1
   */
  weight?: number | undefined
  /** When it is full. */
  caps?: ServerCaps | undefined
  /**
   * Databases that `tenancy.warm()` keeps ready for tenants to come, up to 1000.
   * @defaultValue 0
   */
  warmDatabases?: number | undefined
}

/** A server's configuration with every default filled in. */
export interface ResolvedServer {
  readonly url?: string | undefined
  readonly pooler?: { readonly url: string; readonly namedStatements: boolean } | undefined
  readonly region?: string | undefined
  readonly labels: readonly string[]
  readonly private: boolean
  readonly weight: number
  readonly caps: Readonly<Record<keyof ServerCaps, number>>
  readonly warmDatabases: number
}

export const postgresUrl = z.string().refine(isPostgresUrl, 'must be a URL that begins with postgres://')

export const poolerSchema = z.strictObject({ url: postgresUrl, namedStatements: z.boolean().default(false) })

const word = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a-z, 0-9 and "-", 63 characters at most')
const labels = z.array(word).max(limits.serverLabelsMax)
const cap = (byDefault: number) => z.int().min(1).max(limits.serverCapMax).default(byDefault)

export const capsSchema = z.strictObject({
  databases: cap(limits.databasesPerServer),
  sharedDatabases: cap(limits.sharedDatabasesPerServer),
  rowTenantsPerDatabase: cap(limits.rowTenantsPerDatabase),
  schemasPerDatabase: cap(limits.schemasPerDatabase),
})

export const rulesSchema = z.strictObject({
  server: z.string().optional(),
  region: word.optional(),
  labels: labels.optional(),
})

export const serverSchema = z.strictObject({
  url: postgresUrl.optional(),
  pooler: poolerSchema.optional(),
  region: word.optional(),
  labels: labels.default([]),
  private: z.boolean().default(false),
  weight: z.number().min(limits.serverWeightMin).max(limits.serverWeightMax).default(1),
  caps: capsSchema.prefault({}),
  warmDatabases: z.int().min(0).max(limits.warmDatabasesMax).default(0),
})

export const broughtSchema = z.strictObject({
  requireTls: z.boolean().default(true),
  connections: z.int().min(1).max(limits.connectionsPerPoolMax).default(limits.connectionsPerBroughtDatabase),
})

/** The servers by name; `primary` is always one of them, and the first. */
export const serversSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), serverSchema)
  .refine(
    (servers) => Object.keys(servers).length <= limits.serversMax,
    `must be ${limits.serversMax} servers at most`,
  )
  .prefault({})
  .transform(({ [primaryServer]: primary = serverSchema.parse({}), ...others }) => ({
    [primaryServer]: primary,
    ...others,
  }))

/** What is wrong with servers that are right one by one. */
export function findServerProblems(
  databaseUrl: string,
  servers: Readonly<Record<string, ResolvedServer>>,
): { path: string[]; message: string }[] {
  const names = new Map([[addressOf(databaseUrl), primaryServer]])
  return Object.entries(servers).flatMap(([name, { url, pooler }]) => {
    const path = (key: string) => ['servers', name, key]
    if (name === primaryServer) {
      return [
        ...(url === undefined ? [] : [{ path: path('url'), message: 'must be left out: it is databaseUrl' }]),
        ...(pooler === undefined
          ? []
          : [{ path: path('pooler'), message: "must be left out: it is the configuration's own pooler" }]),
      ]
    }
    if (url === undefined) return [{ path: path('url'), message: 'is missing' }]
    // Both would call their databases and roles the same, and have them for their own.
    const known = names.get(addressOf(url))
    if (known !== undefined)
      return [{ path: path('url'), message: `must not lead to the server ${known} too` }]
    names.set(addressOf(url), name)
    return []
  })
}

function addressOf(url: string): string {
  // What is no URL is told by the schema of its key.
  if (!URL.canParse(url)) return url
  const { hostname, port } = new URL(url)
  return `${hostname.toLowerCase()}:${port || '5432'}`
}

function isPostgresUrl(value: string): boolean {
  return URL.canParse(value) && /^postgres(ql)?:$/.test(new URL(value).protocol)
}
