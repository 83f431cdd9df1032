import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../identifiers.ts'
import { placeSearchPath } from '../layout/migrator.ts'

/** What stands in a reference table, whatever the order of its rows. */
export interface SharedRows {
  readonly table: string
  /** `12 rows, digest …`; equal for equal rows. */
  readonly content: string
}

/** Digests of the reference tables of a place: its migrations write the same rows everywhere. */
export async function digestSharedTables(client: pg.ClientBase, schema: string): Promise<SharedRows[]> {
  const { rows: tables } = await client.query<{ name: string; columns: string[] }>(
    `select relname::text as name, array_agg(attname::text order by attnum) as columns
       from pg_catalog.pg_class join pg_catalog.pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
      where relnamespace = to_regnamespace(quote_ident($1)) and relkind = 'r'
        and relowner = (select oid from pg_catalog.pg_roles where rolname = 'quickscale_owner')
      group by pg_class.oid, relname having not 'tenant_id' = any (array_agg(attname::text)) order by relname`,
    [schema],
  )
  if (tables.length === 0) return []
  const digests = tables.map(({ name, columns }) => {
    const row = `row(${columns.map(quoteIdentifier).join(', ')})::text`
    return `(select concat(count(*), ' rows, digest ', md5(string_agg(${row}, E'\\n' order by ${row} collate "C")))
               from ${quoteQualified(schema, name)})`
  })
  await client.query(`set local search_path to ${placeSearchPath(schema)}; set local timezone to 'UTC'`)
  const { rows } = await client.query<{ contents: string[] }>(
    `select array[${digests.join(', ')}] as contents`,
  )
  await client.query('reset search_path; reset timezone')
  return tables.map(({ name: table }, at) => ({ table, content: rows[0]?.contents[at] ?? '' }))
}
