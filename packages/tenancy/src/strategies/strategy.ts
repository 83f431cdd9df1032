import type pg from 'pg'
import type { Catalog } from '../catalog/catalog.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { LoginPurpose } from '../catalog/tables.ts'
import { tenantSchemaName } from '../identifiers.ts'
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
  /** Asked last; throws when it is not the caller's to open any more. */
  readonly assertHeld: () => Promise<void>
  readonly statement: string
}

/** @param client an administrator's connection to the place's database */
export async function openPlace(client: pg.ClientBase, opening: Opening | null): Promise<void> {
  if (opening === null) return
  await opening.assertHeld()
  await client.query(opening.statement)
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
