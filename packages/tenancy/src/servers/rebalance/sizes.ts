/**
 * How big tenants are. A schema is as big as its tables; a database as much bigger than the template it was made from as it is. In
 * shared tables it is the rows that are weighed, and not the tables, which stay as big as they were when somebody has left. Of a
 * big table only some pages are read, so small tenants of it may be missed; who weighs something is not.
 */
import { readFileSync } from 'node:fs'
import type pg from 'pg'
import type { DatabaseRecord } from '../../catalog/places.ts'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { limits } from '../../limits.ts'
import type { Workshop } from '../../strategies/strategy.ts'

const poolTables = readFileSync(new URL('../../../sql/servers/pool-tables.sql', import.meta.url), 'utf8')
const schemaSizes = readFileSync(new URL('../../../sql/servers/schema-sizes.sql', import.meta.url), 'utf8')

/** Bytes of the tenants in one shared database. */
export interface SharedSizes {
  /** By tenant; the biggest ones. */
  readonly rows: ReadonlyMap<string, number>
  /** Of those that are not listed. */
  readonly rest: number
  /** By name of the schema. */
  readonly schemas: ReadonlyMap<string, number>
}

export async function measureShared(workshop: Workshop, database: DatabaseRecord): Promise<SharedSizes> {
  return await workshop.servers.pooled(database, async (client) => {
    const { rows } = await client.query<{ schema: string; bytes: number }>(schemaSizes)
    const schemas = new Map(rows.map(({ schema, bytes }) => [schema, bytes]))
    return { ...(await measureRows(client)), schemas }
  })
}

interface PoolTable {
  readonly name: string
  readonly pages: number
  readonly overhead: number
  readonly columns: readonly string[]
}

async function measureRows(client: pg.ClientBase): Promise<Pick<SharedSizes, 'rows' | 'rest'>> {
  const { rows: tables } = await client.query<PoolTable>(poolTables)
  const sizes = new Map<string, number>()
  let rest = 0
  for (const table of tables.filter(({ pages }) => pages > 0)) {
    const found = await measureTable(client, table)
    let unlisted = found[0]?.total ?? 0
    for (const { tenant, bytes } of found) {
      unlisted -= bytes
      sizes.set(tenant, (sizes.get(tenant) ?? 0) + bytes)
    }
    rest += Math.max(0, unlisted)
  }
  const sorted = [...sizes].sort(([, one], [, other]) => other - one)
  for (const [, bytes] of sorted.slice(limits.rebalanceTenantsPerDatabase)) rest += bytes
  return { rows: new Map(sorted.slice(0, limits.rebalanceTenantsPerDatabase)), rest }
}

/** The biggest tenants of a table, and what all of them have together. */
async function measureTable(
  client: pg.ClientBase,
  { name, pages, overhead, columns }: PoolTable,
): Promise<{ tenant: string; bytes: number; total: number }[]> {
  const part = Math.min(1, limits.rebalancePagesRead / pages)
  const row = [
    ...columns.map((column) => `coalesce(pg_column_size(${quoteIdentifier(column)}), 0)`),
    '$2::integer',
  ].join(' + ')
  // The same pages each time: who asks twice is not told two things.
  const { rows } = await client.query<{ tenant: string; bytes: number; total: number }>(
    `select tenant_id::text as tenant, sum(${row})::float8 / $1::float8 as bytes,
            sum(sum(${row})) over ()::float8 / $1::float8 as total
       from ${quoteQualified('app', name)} tablesample system ($1::float8 * 100) repeatable (1)
      group by tenant_id order by 2 desc, 1 limit $3`,
    [part, overhead, limits.rebalanceTenantsPerDatabase],
  )
  return rows
}

/** Bytes of databases of one tenant each, by their names. */
export async function measureSilos(
  workshop: Workshop,
  server: string,
  template: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (names.length === 0) return new Map()
  const { rows } = await workshop.servers.onServer(server, (client) =>
    client.query<{ name: string; bytes: number }>(
      `select datname::text as name, pg_database_size(oid)::float8 as bytes from pg_database where datname = any ($1)`,
      [[...names, template]],
    ),
  )
  const bytes = new Map(rows.map((row) => [row.name, row.bytes]))
  const empty = bytes.get(template) ?? 0
  return new Map(names.map((name) => [name, Math.max(0, (bytes.get(name) ?? 0) - empty)]))
}
