import pg from 'pg'
import { openPool } from '../catalog/pool.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { sqlFiles } from '../sql-files.ts'

const connectionsMax = 4
const idleMs = 5_000
const versionMin = 15
/** From here on CREATEROLE can hand on what its owner has, BYPASSRLS included. */
const delegationVersionMin = 16
/** The roles that sql/server/ makes. */
export const groupRoles = [
  'quickscale_seal',
  'quickscale_owner',
  'quickscale_migrator',
  'quickscale_runtime',
  'quickscale_silo',
  'quickscale_reader',
  'quickscale_unscoped',
  'quickscale_trigger',
]

/** The administrator's access to one server: for making places, never for tenants' queries. */
export interface Administrator {
  readonly host: string
  readonly port: number
  /** The database that the administrator's URL names: others are created from it. */
  readonly maintenanceDatabase: string
  /** URL of a database on the server, with the administrator's credentials. */
  urlOf(databaseName: string): string
  /** URL of a database on the server, with a login role's credentials. */
  loginUrlOf(databaseName: string, role: string, password: string): string
  /**
   * Runs `work` on a connection that is closed afterwards.
   *
   * @throws QuickScaleError `SERVER_UNREACHABLE` when nobody answers in time
   */
  connected<T>(databaseName: string, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** Runs `work` on a kept connection to a shared database. @throws QuickScaleError `SERVER_UNREACHABLE` */
  pooled<T>(databaseName: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/**
 * @param serverUrl any database of the server; the one to create other databases from
 * @param connectMs how long opening a connection may take
 */
export function createAdministrator(
  serverUrl: string,
  connectMs: number = limits.administratorConnectMs,
): Administrator {
  const pools = new Map<string, pg.Pool>()
  const base = new URL(serverUrl)
  const urlOf = (databaseName: string) => {
    const url = new URL(base)
    url.pathname = `/${encodeURIComponent(databaseName)}`
    return url.href
  }
  const connectionTo = (databaseName: string): pg.ClientConfig => ({
    connectionString: urlOf(databaseName),
    application_name: 'quickscale administrator',
    // Migrations may take hours, so no answer has a bound; but who is gone is noticed.
    keepAlive: true,
    keepAliveInitialDelayMillis: limits.administratorKeepAliveMs,
    // Compiling the long queries over system catalogs takes ten times as long as running them.
    options: '-c jit=off',
  })
  const explain = (cause: unknown): never => {
    throw unreachable(`${base.hostname}:${base.port || '5432'}`, cause)
  }
  const poolOf = (databaseName: string) => {
    const known = pools.get(databaseName)
    if (known !== undefined) return known
    const pool = openPool({
      ...connectionTo(databaseName),
      max: connectionsMax,
      idleTimeoutMillis: idleMs,
      Client: boundedClient(connectMs) as unknown as new () => pg.ClientBase,
    })
    pools.set(databaseName, pool)
    return pool
  }
  return {
    host: base.hostname,
    port: Number(base.port || '5432'),
    maintenanceDatabase: decodeURIComponent(base.pathname.slice(1)) || 'postgres',
    urlOf,
    loginUrlOf: (databaseName, role, password) => loginUrl(serverUrl, databaseName, role, password),
    connected: async (databaseName, work) => {
      const client = new (boundedClient(connectMs))(connectionTo(databaseName))
      // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
      client.on('error', () => undefined)
      await client.connect().catch(explain)
      try {
        return await work(client)
      } finally {
        await client.end()
      }
    },
    pooled: async (databaseName, work) => {
      const client = await poolOf(databaseName).connect().catch(explain)
      let failure: unknown
      try {
        return await work(client)
      } catch (error) {
        failure = error
        throw error
      } finally {
        client.release(failure !== undefined)
      }
    },
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.end()))
    },
  }
}

/** Opening has a bound; in a pool, waiting for a connection to be given back has none: work on it may last. */
function boundedClient(connectionTimeoutMillis: number): new (config: pg.ClientConfig) => pg.Client {
  return class extends pg.Client {
    constructor(config: pg.ClientConfig) {
      super({ ...config, connectionTimeoutMillis })
    }
  }
}

/** @param server host and port */
export function unreachable(server: string, cause: unknown): QuickScaleError {
  return new QuickScaleError('SERVER_UNREACHABLE', { server, reason: reasonOf(cause) }, { cause })
}

/** A host name with several addresses fails with a list of errors and no message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(', ')
  return cause instanceof Error ? cause.message : String(cause)
}

/** URL of a database, with a login role's credentials; host, TLS and other options are those of the base. */
export function loginUrl(base: string, databaseName: string, role: string, password: string): string {
  const url = new URL(base)
  url.pathname = `/${encodeURIComponent(databaseName)}`
  url.username = encodeURIComponent(role)
  url.password = encodeURIComponent(password)
  return url.href
}

/** What decides whether an administrator can do the work. */
export interface ServerFacts {
  /** Major version of the server. */
  readonly version: number
  readonly administrator: string
  readonly superuser: boolean
  /** Those of CREATEDB, CREATEROLE and BYPASSRLS that the administrator has not. */
  readonly lacking: readonly string[]
  /** Roles of sql/server/ that exist and that the administrator may not grant. */
  readonly ungrantable: readonly string[]
}

/**
 * Refuses a server or an administrator that could not do the work, before anything is made.
 *
 * @throws QuickScaleError `SERVER_UNSUITABLE`
 */
export async function assertServer(client: pg.ClientBase): Promise<void> {
  const reason = await findServerUnsuitability(client)
  if (reason !== null) throw new QuickScaleError('SERVER_UNSUITABLE', { reason })
}

/** Why the work could not be done on this server with this administrator, or null. */
export async function findServerUnsuitability(client: pg.ClientBase): Promise<string | null> {
  const facts = await readServerFacts(client)
  return facts === null ? 'the administrator has no role' : findUnsuitability(facts)
}

export async function readServerFacts(client: pg.ClientBase): Promise<ServerFacts | null> {
  const { rows } = await client.query<ServerFacts>(
    `select current_setting('server_version_num')::integer / 10000 as version,
            rolname::text as administrator, rolsuper as superuser,
            array_remove(array[case when not rolcreatedb then 'CREATEDB' end,
                               case when not rolcreaterole then 'CREATEROLE' end,
                               case when not rolbypassrls then 'BYPASSRLS' end], null) as lacking,
            array(select role.rolname::text from pg_roles as role
                   where role.rolname = any($1) and not pg_has_role(role.oid, 'member with admin option')
                   order by role.rolname) as ungrantable
       from pg_roles where rolname = current_user`,
    [groupRoles],
  )
  return rows[0] ?? null
}

/** Makes the group roles of sql/server/ where they are missing. They belong to the server, not to one database. */
export async function makeGroupRoles(client: pg.ClientBase): Promise<void> {
  // Two installations made at the same time would both create them.
  await inTransaction(client, async () => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('quickscale roles', 0))")
    for (const file of await sqlFiles('server')) await client.query(file.text)
  })
}

/** Why the work could not be done, or null. */
export function findUnsuitability(facts: ServerFacts): string | null {
  const { version, administrator, superuser, lacking, ungrantable } = facts
  if (version < versionMin) return `version ${version} is too old`
  if (superuser) return null
  if (version < delegationVersionMin) {
    return `on version ${version} the administrator must be a superuser: nobody else can create a role with BYPASSRLS`
  }
  if (lacking.length > 0) return `the administrator lacks ${lacking.join(', ')}`
  if (ungrantable.length > 0) {
    const grant = `GRANT ${ungrantable.join(', ')} TO ${quoteIdentifier(administrator)} WITH ADMIN OPTION`
    return `another administrator has made roles that this one may not grant; let that one, or a superuser, run ${grant}`
  }
  return null
}
