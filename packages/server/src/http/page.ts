import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Order } from '../api/index.ts'
import type { Position } from './cursor.ts'

/** A column a list may be ordered by. */
export interface SortColumn {
  /** `table.column`, written by us. */
  readonly column: string
  /** The order when the caller gives none. */
  readonly order: Order
  /** Rows without a value come last in either order. */
  readonly nullable?: true
}

export interface PageRequest {
  readonly sort: SortColumn
  readonly order: Order
  readonly limit: number
  readonly after: Position | null
}

export interface Page<Row> {
  readonly rows: readonly Row[]
  readonly next: Position | null
}

interface Sorted {
  readonly id: string
  readonly sort_value: unknown
  readonly sort_key: string | null
}

/**
 * Reads one page by keyset: rows after (sort column, id) of the last one, in one statement.
 *
 * A nullable column is walked as two ordered ranges, values then NULLs, so that one plain index serves both
 * directions while NULLs stay last; `order by … desc nulls last` alone could not use it.
 *
 * @param query everything but order and limit
 * @param idColumn `table.id`, the tie breaker
 */
export async function readPage<DB, TB extends keyof DB, Row extends { readonly id: string }>(
  db: Kysely<DB>,
  query: SelectQueryBuilder<DB, TB, Row>,
  idColumn: string,
  request: PageRequest,
): Promise<Page<Row>> {
  const direction = sql.raw(request.order)
  // Part of the text: what a parameter says is unknown to a prepared statement's plan, which would expect a tenth of the table.
  const wanted = sql.lit(request.limit + 1)
  const ranges = conditions(request, idColumn).map((condition) => {
    const range = condition === null ? query : query.where(condition)
    return range
      .select(sql.ref(request.sort.column).as('sort_value'))
      .orderBy(sql.ref(request.sort.column), request.order)
      .orderBy(sql.ref(idColumn), request.order)
      .limit(wanted)
  })
  const { rows } = await sql<Row & Sorted>`
    select page.*, page.sort_value::text as sort_key
      from (${sql.join(ranges, sql` union all `)}) as page
     order by page.sort_value ${direction} nulls last, page.id ${direction}
     limit ${wanted}`.execute(db)
  const shown = rows.slice(0, request.limit)
  const last = rows.length > request.limit ? shown.at(-1) : undefined
  return { rows: shown, next: last === undefined ? null : { key: last.sort_key, id: last.id } }
}

/** The ranges that hold what comes after the position, in their order. */
function conditions({ sort, order, after }: PageRequest, idColumn: string): (RawBuilder<boolean> | null)[] {
  const column = sql.ref(sort.column)
  const id = sql.ref(idColumn)
  const beyond = sql.raw(order === 'asc' ? '>' : '<')
  if (after !== null && after.key === null) {
    return [sql<boolean>`${column} is null and ${id} ${beyond} ${after.id}`]
  }
  const values =
    after === null
      ? sql<boolean>`${column} is not null`
      : sql<boolean>`(${column}, ${id}) ${beyond} (${after.key}, ${after.id})`
  if (sort.nullable) return [values, sql<boolean>`${column} is null`]
  return [after === null ? null : values]
}
