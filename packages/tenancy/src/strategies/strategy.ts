import type pg from 'pg'
import type { Catalog } from '../catalog/catalog.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { LoginPurpose } from '../catalog/tables.ts'
import { quoteLiteral, tenantSchemaName } from '../identifiers.ts'
import type { KeyProvider } from '../key-provider.ts'
import type { MigrationFile } from '../migrations/files.ts'
import type { Strategy } from '../tenant.ts'
import type { Servers } from './servers.ts'

/** What making a place needs. */
export interface Workshop {
  readonly installation: string
  readonly catalog: Catalog
  readonly servers: Servers
  readonly masterKey: Buffer
  readonly keyProvider: KeyProvider
  /** Of a database that a customer brings. */
  readonly requireTls: boolean
  readonly migrations: () => Promise<readonly MigrationFile[]>
}

/** Where one tenant's tables are or will be. */
export interface Place {
  readonly database: DatabaseRecord
  readonly schemaName: string
}

/** Something that exists because of a tenant. */
export interface Holding {
  readonly kind: 'rows' | 'fence' | 'schema' | 'database' | 'role'
  /** Of the table (`app.note`), the schema, the database or the role. */
  readonly name: string
  /** Rows of a table; 1 of anything else. */
  readonly count: number
}

/** What lets a tenant into its place, once that is whole. */
export interface Opening {
  /**
   * Asked last, before anything is there that would stay if nobody went on; throws when it is not the caller's to open any more.
   * May wait.
   */
  readonly assertHeld: () => Promise<void>
  /**
   * Name of the lock under which the place is made and opened. Whoever takes the tenant away waits for its holder, or ends it: a
   * process that was killed may still have a statement running in the server.
   */
  readonly lock: string
  readonly statement: string
}

/** @param client an administrator's connection to the place's database */
export async function openPlace(client: pg.ClientBase, opening: Opening | null): Promise<void> {
  if (opening === null) return
  await opening.assertHeld()
  // Several statements in one string are one transaction.
  await client.query(`${lockToMake(opening)};\n${opening.statement}`)
}

/** Takes the lock until the transaction ends. */
export function lockToMake({ lock }: Opening): string {
  return `select pg_advisory_xact_lock(hashtextextended(${quoteLiteral(lock)}, 0))`
}

/** Runs what takes several transactions under the lock. When it fails its connection is not used again, which frees the lock. */
export async function whileMaking(
  client: pg.ClientBase,
  opening: Opening | null,
  make: () => Promise<void>,
): Promise<void> {
  if (opening === null) return await make()
  await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [opening.lock])
  await opening.assertHeld()
  await make()
  await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [opening.lock])
}

/** One way of keeping tenants apart. The three differ in where the tables are and in what must be made there. */
export interface StrategyHandler {
  readonly name: Strategy
  /**
   * Makes the place, its tables up to date. Repeatable after any interruption.
   *
   * @param opening what is done last; null: nobody is let in
   */
  build(workshop: Workshop, tenantId: string, place: Place, opening: Opening | null): Promise<void>
  /** What of the tenant is there: what build has made, and its rows. */
  inspect(workshop: Workshop, tenantId: string, place: Place): Promise<Holding[]>
  /** Takes away what build made, data included. Repeatable. */
  demolish(workshop: Workshop, tenantId: string, place: Place): Promise<void>
}

/** The schema of a tenant's tables in its database. */
export function placeSchema(strategy: Strategy, tenantId: string): string {
  return strategy === 'schema' ? tenantSchemaName(tenantId) : 'app'
}

/** The role that logs in to a database for a purpose, beside the application's own; 58 bytes at most. */
export function furtherLoginName(loginRole: string, purpose: LoginPurpose): string {
  return `${loginRole}_${purpose}`
}

/** Names of an installation's databases and login roles on a server. */
export function installationNames(installation: string) {
  return {
    catalog: `${installation}_catalog`,
    shared: `${installation}_pool`,
    /** Of one server: 1 for the first one. */
    furtherShared: (number: number) => `${installation}_pool${number === 1 ? '' : `_${number}`}`,
    template: `${installation}_template`,
    silo: (tenantId: string) => `${installation}_${tenantId.replaceAll('-', '')}`,
  }
}
