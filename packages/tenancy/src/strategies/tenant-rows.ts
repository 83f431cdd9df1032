import type pg from 'pg'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../identifiers.ts'
import { limits } from '../limits.ts'
import type { Holding } from './strategy.ts'

/** How many rows of a tenant each table of a schema has; tables without any are left out. */
export async function countTenantRows(
  client: pg.ClientBase,
  schema: string,
  tenantId: string,
): Promise<Holding[]> {
  const tables = await tenantTables(client, schema)
  if (tables.length === 0) return []
  const counts = tables.map(
    (table) =>
      `select ${quoteLiteral(`${schema}.${table}`)} as name, count(*)::float8 as count
         from ${quoteQualified(schema, table)} where tenant_id = $1`,
  )
  const { rows } = await client.query<{ name: string; count: number }>(
    `select * from (${counts.join(' union all ')}) as counted where count > 0 order by name`,
    [tenantId],
  )
  return rows.map(({ name, count }) => ({ kind: 'rows', name, count }))
}

/**
 * Deletes a tenant's rows from every table of a schema. One statement: foreign keys are checked at its end, so that
 * tables may refer to each other in circles. Repeated, because a trigger may write rows while others are deleted.
 */
export async function deleteTenantRows(
  client: pg.ClientBase,
  schema: string,
  tenantId: string,
): Promise<void> {
  const tables = await tenantTables(client, schema)
  if (tables.length === 0) return
  const deletions = tables.map(
    (table, index) =>
      `${quoteIdentifier(`d${index}`)} as (delete from ${quoteQualified(schema, table)} where tenant_id = $1)`,
  )
  for (let pass = 1; pass <= limits.attemptsMax; pass += 1) {
    await client.query(`with ${deletions.join(', ')} select`, [tenantId])
    if ((await countTenantRows(client, schema, tenantId)).length === 0) return
  }
}

/** Tables whose rows say whose they are; partitions are reached through their root. */
async function tenantTables(client: pg.ClientBase, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select relname::text as name from pg_class join pg_attribute on attrelid = pg_class.oid
      where relnamespace = to_regnamespace(quote_ident($1)) and relkind in ('r', 'p') and not relispartition
        and attname = 'tenant_id' and not attisdropped
      order by relname`,
    [schema],
  )
  return rows.map(({ name }) => name)
}
