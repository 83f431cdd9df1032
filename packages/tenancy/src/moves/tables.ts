import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../identifiers.ts'
import { restingCondition } from './throttle.ts'

/** A column whose values move; generated ones are made anew. */
export interface MovedColumn {
  readonly name: string
  /** As it is written with the place's schema and `extensions` on the search path. */
  readonly type: string
  /** GENERATED ALWAYS AS IDENTITY. */
  readonly always: boolean
  /** Its binary form names no type by number, so it means the same everywhere. */
  readonly portable: boolean
}

/** A table whose rows move. */
export interface MovedTable {
  readonly name: string
  /** In the order of their names: places may have been made in different ways. */
  readonly columns: readonly MovedColumn[]
  /** Of its primary key, in the order of their names; empty when it has none. */
  readonly key: readonly string[]
  /** Its identity columns, with the sequence of each. */
  readonly sequences: readonly {
    readonly column: string
    readonly sequence: string
    readonly ascending: boolean
    /** Sessions draw several ids at once. */
    readonly cached: boolean
  }[]
}

/**
 * The tables of a place whose rows belong to tenants, in the order of their names.
 *
 * @param client an administrator's connection; its search path is the place's afterwards
 */
export async function readTables(client: pg.ClientBase, schema: string): Promise<MovedTable[]> {
  await client.query(`set search_path to ${quoteIdentifier(schema)}, extensions`)
  const { rows } = await client.query<MovedTable>(
    `select class.relname::text as name,
            (select json_agg(json_build_object(
                      'name', attname, 'type', format_type(atttypid, atttypmod),
                      'always', attidentity = 'a', 'portable', atttypid < 16384) order by attname)
               from pg_attribute
              where attrelid = class.oid and attnum > 0 and not attisdropped and attgenerated = '') as columns,
            coalesce((select json_agg(attname order by attname)
               from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey)
              where indrelid = class.oid and indisprimary), '[]') as key,
            coalesce((select json_agg(json_build_object(
                      'column', attname, 'ascending', seqincrement > 0, 'cached', seqcache > 1,
                      'sequence', sequence.oid::regclass::text) order by attname)
               from pg_depend
               join pg_attribute on attrelid = refobjid and attnum = refobjsubid
               join pg_class as sequence on sequence.oid = objid and sequence.relkind = 'S'
               join pg_sequence on seqrelid = sequence.oid
              where refobjid = class.oid and refclassid = 'pg_class'::regclass and classid = 'pg_class'::regclass
                and deptype = 'i'), '[]') as sequences
       from pg_class as class
      where class.relnamespace = $1::regnamespace and class.relkind in ('r', 'p') and not class.relispartition
        and exists (select from pg_attribute
                     where attrelid = class.oid and attname = 'tenant_id' and not attisdropped)
      order by class.relname`,
    [quoteIdentifier(schema)],
  )
  return rows
}

/** What must be the same at both ends for rows to fit, as one text. */
export function fingerprintOf(tables: readonly MovedTable[]): string {
  return JSON.stringify(
    tables.map(({ name, columns, key }) => [
      name,
      columns.map((column) => [column.name, column.type, column.always]),
      key,
    ]),
  )
}

/** The migrations that a place has, as one text: those that change rows, indexes or types change no column. */
export async function readMigrationsOf(client: pg.ClientBase, schema: string): Promise<string> {
  const { rows } = await client.query<{ applied: string }>(
    `select coalesce(string_agg(name || ' ' || digest, ',' order by name), '') as applied
       from quickscale.migration where schema_name = $1`,
    [schema],
  )
  return rows[0]?.applied ?? ''
}

/** In what two places differ, in words; empty when rows of one fit into the other. */
export function differencesBetween(source: readonly MovedTable[], target: readonly MovedTable[]): string[] {
  const known = new Map(target.map((table) => [table.name, table]))
  const extra = target
    .filter(({ name }) => !source.some((table) => table.name === name))
    .map(({ name }) => `table ${name} is missing where the tenant lives`)
  const differing = source.flatMap((table) => {
    const other = known.get(table.name)
    if (other === undefined) return [`table ${table.name} does not exist where the tenant would go`]
    return columnDifferences(table, other)
  })
  return [...differing, ...extra]
}

function columnDifferences(table: MovedTable, other: MovedTable): string[] {
  const known = new Map(other.columns.map((column) => [column.name, column]))
  const named = (column: string) => `column ${table.name}.${column}`
  const missing = other.columns
    .filter(({ name }) => !table.columns.some((column) => column.name === name))
    .map(({ name }) => `${named(name)} is missing where the tenant lives`)
  const differing = table.columns.flatMap(({ name, type, always }) => {
    const there = known.get(name)
    if (there === undefined) return [`${named(name)} does not exist where the tenant would go`]
    if (there.type !== type) return [`${named(name)} is ${type} here and ${there.type} there`]
    if (there.always !== always) return [`${named(name)} is an identity of another kind there`]
    return []
  })
  const keys =
    table.key.join() === other.key.join() ? [] : [`table ${table.name} has another primary key there`]
  return [...differing, ...missing, ...keys]
}

/** A table's rows of one tenant: FROM and WHERE; `$1` is the tenant. */
export function rowsOf(schema: string, table: Pick<MovedTable, 'name'>): string {
  return `${quoteQualified(schema, table.name)} where tenant_id = $1`
}

/** How many rows the tenant has, all tables together. */
export async function countRows(
  client: pg.ClientBase,
  schema: string,
  tables: readonly MovedTable[],
  tenantId: string,
  share: number,
): Promise<number> {
  let total = 0
  for (const table of tables) {
    const { rows } = await client.query<{ count: number }>(
      `select count(*)::float8 as count from ${rowsOf(schema, table)} and ${restingCondition(share)}`,
      [tenantId],
    )
    total += rows[0]?.count ?? 0
  }
  return total
}

export function columnList({ columns }: Pick<MovedTable, 'columns'>): string {
  return columns.map(({ name }) => quoteIdentifier(name)).join(', ')
}
