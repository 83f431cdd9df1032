import type pg from 'pg'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../identifiers.ts'
import { columnsOf, keyCondition, unnested } from '../stream/apply.ts'
import type { TouchedKeys } from '../stream/touched.ts'
import { columnList, type MovedTable, rowsOf } from '../tables.ts'
import { restingCondition } from '../throttle.ts'

/** Rows of one table: how many, and a digest of them that does not depend on their order. */
interface Digest {
  readonly count: string
  readonly digest: string
}

/** Rows have different keys, so no two of them cancel each other out. */
function digestOf(columns: string): string {
  return `count(*)::text as count, coalesce(bit_xor(('x' || md5(row(${columns})::text))::bit(128))::text, '') as digest`
}

/** All rows of the tenant, table by table, with what the client's snapshot shows; it rests as {@link restingCondition} says. */
export async function digestTables(
  client: pg.ClientBase,
  schema: string,
  tables: readonly MovedTable[],
  tenantId: string,
  share: number,
): Promise<Map<string, Digest>> {
  const digests = new Map<string, Digest>()
  for (const table of tables) {
    const { rows } = await client.query<Digest>(
      `select ${digestOf(columnList(table))} from ${rowsOf(schema, table)}
         and ${restingCondition(share)}`,
      [tenantId],
    )
    if (rows[0] !== undefined) digests.set(table.name, rows[0])
  }
  return digests
}

/** The rows with these keys, table by table; in one statement, because a tenant may be waiting for it. */
export async function digestKeys(
  client: pg.ClientBase,
  schema: string,
  tables: readonly MovedTable[],
  keys: TouchedKeys,
): Promise<Map<string, Digest>> {
  const values: unknown[] = []
  const parts = tables.flatMap((table) => {
    const wanted = keys.get(table.name)
    if (wanted === undefined) return []
    const columns = table.columns.map(({ name }) => `moved.${quoteIdentifier(name)}`).join(', ')
    const given = unnested(table.key, values.length)
    values.push(...columnsOf(table.key.length, [...wanted.values()]))
    return [
      `select ${quoteLiteral(table.name)} as name, ${digestOf(columns)}
         from ${quoteQualified(schema, table.name)} as moved, ${given} where ${keyCondition(table)}`,
    ]
  })
  if (parts.length === 0) return new Map()
  const { rows } = await client.query<Digest & { name: string }>(parts.join(' union all '), values)
  return new Map(rows.map(({ name, ...digest }) => [name, digest]))
}

/** In what tables two sets of rows differ, in words. */
export function differingTables(
  here: ReadonlyMap<string, Digest>,
  there: ReadonlyMap<string, Digest>,
): string[] {
  return [...here].flatMap(([name, { count, digest }]) => {
    const other = there.get(name)
    if (other?.count === count && other.digest === digest) return []
    return [
      other?.count === count
        ? `rows of ${name} have other values`
        : `${name} has ${count} rows here and ${other?.count ?? 'none'} there`,
    ]
  })
}
