import { Kysely, PostgresDialect } from 'kysely'
import type pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { limits } from '../limits.ts'
import { applySqlFiles, readSqlFiles } from '../sql-files.ts'
import type { Catalog } from './catalog.ts'
import { openPool } from './pool.ts'

/**
 * Tables that an application keeps beside the catalog, for what belongs to no single tenant: users, sessions, invoices. Each
 * has a schema of its own in the catalog's database; foreign keys to `catalog.tenant (id)` are welcome, other tables of the
 * catalog are not to be relied on. Queries run as the administrator, and nothing keeps tenants apart here.
 */
export interface ControlPlane {
  /**
   * Makes a schema or brings it up to date with the `NNNN_name.sql` files of a directory, in one transaction. They name
   * their tables with the schema. Repeatable; call it after `migrate()`.
   *
   * @param schema a-z, 0-9 and `_`, a letter first
   * @param directory absolute path
   * @throws QuickScaleError `IDENTIFIER_INVALID`, `NOT_INSTALLED`, `CATALOG_UNREACHABLE`
   * @example await tenancy.controlPlane.upgrade('auth', join(import.meta.dirname, 'migrations'))
   */
  upgrade(schema: string, directory: string): Promise<void>
  /**
   * Kysely over one schema.
   *
   * @throws QuickScaleError `IDENTIFIER_INVALID`
   * @example const users = await tenancy.controlPlane.kysely<AuthTables>('auth').selectFrom('user').selectAll().execute()
   */
  kysely<DB>(schema: string): Kysely<DB>
  /**
   * Further connections to the catalog's database, for a library that brings its own tables and SQL: a queue, say. As the
   * administrator; whoever opens the pool ends it, before `tenancy.close()`.
   *
   * @param options.connectionsMax how many at the same time
   * @param options.name what the server shows of them as `application_name`
   * @example const pool = tenancy.controlPlane.openPool({ connectionsMax: 5, name: 'queue' })
   */
  openPool(options: { readonly connectionsMax: number; readonly name: string }): pg.Pool
}

/** Schemas of the library and of PostgreSQL. */
const reserved = /^(catalog|public|quickscale|information_schema|pg_.*)$/

export function createControlPlane(url: string, catalog: Catalog): ControlPlane & { close(): Promise<void> } {
  const pool = openPool({
    connectionString: url,
    max: limits.controlPlaneConnections,
    idleTimeoutMillis: limits.catalogIdleMs,
    connectionTimeoutMillis: limits.catalogConnectMs,
    application_name: 'quickscale application',
  })
  const dialect = new PostgresDialect({ pool })
  return {
    async upgrade(schema, directory) {
      const name = parseSchema(schema)
      const files = await readSqlFiles(directory)
      await catalog.locked({ exclusive: `upgrade ${name}` }, async (assertHeld) => {
        const client = await pool.connect()
        try {
          await assertHeld()
          await client.query(`create schema if not exists ${quoteIdentifier(name)}`)
          await client.query(
            `create table if not exists ${quoteIdentifier(name)}.version
               (number integer primary key, name text not null, applied_at timestamptz not null default now())`,
          )
          await applySqlFiles(client, files, name)
        } finally {
          client.release()
        }
      })
    },
    kysely: <DB>(schema: string) => new Kysely<DB>({ dialect }).withSchema(parseSchema(schema)),
    openPool: ({ connectionsMax, name }) =>
      openPool({
        connectionString: url,
        max: connectionsMax,
        connectionTimeoutMillis: limits.catalogConnectMs,
        application_name: name,
      }),
    close: () => pool.end(),
  }
}

function parseSchema(schema: string): string {
  if (/^[a-z][a-z0-9_]{0,62}$/.test(schema) && !reserved.test(schema)) return schema
  throw new QuickScaleError('IDENTIFIER_INVALID', { name: schema.slice(0, 80) })
}
