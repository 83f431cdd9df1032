import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { PlacesDiffer } from '../begin-anew.ts'
import type { MovedTable } from '../tables.ts'
import type { RowFate } from './changes.ts'
import type { Value } from './pgoutput.ts'

/**
 * Writes what became of rows, in the caller's transaction: each of them is deleted and, if it still exists, inserted.
 * Repeating it does no harm, and no unique key is in the way while values change hands between rows.
 *
 * @param client with the place's search path, in the role of a replica: no trigger fires, no foreign key is checked
 */
export async function applyFates(
  client: pg.ClientBase,
  schema: string,
  table: MovedTable,
  fates: readonly RowFate[],
): Promise<void> {
  const rows = await completeRows(client, schema, table, fates)
  const keys = fates.flatMap(({ key, before }) => (before === null ? [key] : [key, before]))
  const matching = keyCondition(table)
  await client.query({
    text: `delete from ${quoteQualified(schema, table.name)} as moved using ${unnested(table.key)} where ${matching}`,
    values: columnsOf(table.key.length, keys),
  })
  if (rows.length === 0) return
  const names = table.columns.map(({ name }) => name)
  const types = table.columns.map(({ name, type }) => `given.${quoteIdentifier(name)}::${type}`)
  await client.query({
    text: `insert into ${quoteQualified(schema, table.name)} (${names.map(quoteIdentifier).join(', ')})
           overriding system value select ${types.join(', ')} from ${unnested(names)}`,
    values: columnsOf(names.length, rows),
  })
}

/** Large values that a change has left alone are not in the log; they are where the row is still as it was. */
async function completeRows(
  client: pg.ClientBase,
  schema: string,
  table: MovedTable,
  fates: readonly RowFate[],
): Promise<(readonly Value[])[]> {
  const whole: (readonly Value[])[] = []
  const partial: { fate: RowFate; row: readonly Value[] }[] = []
  for (const fate of fates) {
    if (fate.row?.includes(undefined)) partial.push({ fate, row: fate.row })
    else if (fate.row !== null) whole.push(fate.row)
  }
  if (partial.length === 0) return whole
  const texts = table.columns.map(({ name }) => `moved.${quoteIdentifier(name)}::text`)
  const { rows } = await client.query<(string | null)[]>({
    text: `select ${[...texts, 'given.ordinality::text'].join(', ')}
             from ${quoteQualified(schema, table.name)} as moved, ${unnested(table.key)}
            where ${keyCondition(table)}`,
    values: columnsOf(
      table.key.length,
      partial.map(({ fate }) => fate.before ?? fate.key),
    ),
    rowMode: 'array',
  } as pg.QueryArrayConfig)
  // By number, because a key is written in another way here than in the log: boolean, character(n), inet.
  const known = new Map(rows.map((row) => [Number(row.at(-1)), row]))
  const completed = partial.map(({ row }, index) => {
    const found = known.get(index + 1)
    if (found === undefined) throw new PlacesDiffer([`a row of ${table.name} that was changed is not there`])
    return row.map((value, index) => (value === undefined ? found[index] : value))
  })
  return [...whole, ...completed]
}

/** Several rows as parameters: one array of texts for each column. */
export function columnsOf(width: number, rows: readonly (readonly Value[])[]): Value[][] {
  return Array.from({ length: width }, (_, column) => rows.map((row) => row[column]))
}

/** @param first how many parameters of the statement come before */
export function unnested(names: readonly string[], first = 0): string {
  const arrays = names.map((_, index) => `$${first + index + 1}::text[]`)
  // What comes behind the keys is the number of each, from 1.
  const columns = [...names.map(quoteIdentifier), 'ordinality']
  return `unnest(${arrays.join(', ')}) with ordinality as given (${columns.join(', ')})`
}

/** `moved` is a row whose key is `given`. */
export function keyCondition({ key, columns }: Pick<MovedTable, 'key' | 'columns'>): string {
  return key
    .map((name) => {
      const type = columns.find((column) => column.name === name)?.type ?? 'text'
      return `moved.${quoteIdentifier(name)} = given.${quoteIdentifier(name)}::${type}`
    })
    .join(' and ')
}
