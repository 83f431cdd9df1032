import pg from 'pg'
import { openPool } from '../catalog/catalog.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'

const connectionsMax = 4
const idleMs = 5_000
const versionMin = 15
/** From here on CREATEROLE can hand on what its owner has, BYPASSRLS included. */
const delegationVersionMin = 16
/** The roles that sql/server/ makes. */
const groupRoles = [
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
  /** Runs `work` on a connection that is closed afterwards. */
  connected<T>(databaseName: string, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** Runs `work` on a kept connection to a shared database. */
  pooled<T>(databaseName: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @param serverUrl any database of the server; the one to create other databases from */
export function createAdministrator(serverUrl: string): Administrator {
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
    // Compiling the long queries over system catalogs takes ten times as long as running them.
    options: '-c jit=off',
  })
  const poolOf = (databaseName: string) => {
    const known = pools.get(databaseName)
    if (known !== undefined) return known
    const pool = openPool({ ...connectionTo(databaseName), max: connectionsMax, idleTimeoutMillis: idleMs })
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
      const client = new pg.Client(connectionTo(databaseName))
      // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
      client.on('error', () => undefined)
      await client.connect()
      try {
        return await work(client)
      } finally {
        await client.end()
      }
    },
    pooled: async (databaseName, work) => {
      const client = await poolOf(databaseName).connect()
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
  return rows[0] === undefined ? 'the administrator has no role' : findUnsuitability(rows[0])
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
