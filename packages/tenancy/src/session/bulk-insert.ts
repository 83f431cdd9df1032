/**
 * Many rows in one scoped transaction. COPY FROM is refused under row-level security, so rows travel as multi-row
 * INSERTs: every parameter takes its column's type and the driver writes it as in any other statement. Batches are
 * bounded by rows, parameters and bytes; full ones share their text, which is read by the classifier once.
 */
import pg from 'pg'
import { assertArray, assertIterable, assertNumber } from '../arguments.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import type { Router } from './route.ts'
import { runTransaction } from './transaction.ts'

/** Rows, each with one value per column, in the order of the columns. */
export type BulkRows = Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>

export interface BulkInsertOptions {
  /** Leaves rows out that violate a unique key, instead of failing. @defaultValue false */
  readonly skipConflicts?: boolean
  /** Rows per statement, 1 to 1000; fewer where columns or values are many or large. @defaultValue 1000 */
  readonly batchRows?: number
  /** Called after each statement with the rows inserted so far; they are not committed yet. */
  readonly onProgress?: (progress: { readonly rows: number }) => void
  /** Ends the transaction, and nothing of it stays. */
  readonly signal?: AbortSignal
}

/** What is inserted, checked and with its bounds worked out. */
interface Plan {
  readonly table: string
  readonly head: string
  readonly tail: string
  readonly width: number
  readonly rowsMax: number
}

/** Where the work is; for the error. */
interface Position {
  first: number
  last: number
}

/** See TenantHandle.bulkInsert. */
export async function insertBulk(
  router: Router,
  actor: Actor | null,
  target: { readonly table: string; readonly columns: readonly string[] },
  rows: BulkRows,
  options: BulkInsertOptions = {},
): Promise<{ rows: number }> {
  const plan = planInsert(target, options)
  assertIterable('rows', rows)
  const position: Position = { first: 0, last: -1 }
  // What an iterator has given it will not give again.
  const repeatable = Array.isArray(rows)
  try {
    return await runTransaction(
      router,
      actor,
      async (transaction) => {
        let inserted = 0
        for await (const batch of readBatches(plan, rows, position)) {
          const text = textOf(plan, batch.length / plan.width)
          inserted += (await transaction.query(text, batch)).rowCount ?? 0
          options.onProgress?.({ rows: inserted })
        }
        return { rows: inserted }
      },
      { attemptsMax: repeatable ? limits.attemptsMax : 1, ...(options.signal && { signal: options.signal }) },
    )
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    const details = { table: plan.table, ...position, reason: error.message }
    throw new QuickScaleError('BULK_INSERT_FAILED', details, { cause: error })
  }
}

function planInsert(
  { table, columns }: { readonly table: string; readonly columns: readonly string[] },
  options: BulkInsertOptions,
): Plan {
  assertArray('columns', columns)
  assertNumber('batchRows', options.batchRows)
  const width = columns.length
  if (width === 0 || width > limits.bulkParametersMax) {
    throw new QuickScaleError('BULK_ROW_INVALID', { index: 0, reason: `${width} columns` })
  }
  const wanted = Math.trunc(options.batchRows ?? limits.bulkRowsMax)
  const rowsMax = Math.min(wanted, limits.bulkRowsMax, Math.floor(limits.bulkParametersMax / width))
  return {
    table,
    head: `insert into ${quoteIdentifier(table)} (${columns.map(quoteIdentifier).join(', ')}) values `,
    tail: options.skipConflicts === true ? ' on conflict do nothing' : '',
    width,
    rowsMax: Math.max(1, rowsMax),
  }
}

async function* readBatches(plan: Plan, rows: BulkRows, position: Position): AsyncGenerator<unknown[]> {
  position.first = 0
  position.last = -1
  let batch: unknown[] = []
  let bytes = 0
  for await (const row of rows) {
    position.last += 1
    assertRow(plan, row, position.last)
    for (const value of row) {
      batch.push(value)
      bytes += sizeOf(value)
    }
    if (batch.length < plan.rowsMax * plan.width && bytes < limits.bulkBytesMax) continue
    yield batch
    position.first = position.last + 1
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

function assertRow(plan: Plan, row: unknown, index: number): asserts row is readonly unknown[] {
  if (!Array.isArray(row))
    throw new QuickScaleError('BULK_ROW_INVALID', { index, reason: 'it is not an array' })
  if (row.length !== plan.width) {
    const reason = `it has ${row.length} values for ${plan.width} columns`
    throw new QuickScaleError('BULK_ROW_INVALID', { index, reason })
  }
}

/** Roughly what a value takes in memory; exactness buys nothing, large texts and bytes are what counts. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  return ArrayBuffer.isView(value) ? value.byteLength : 8
}

function textOf(plan: Plan, rows: number): string {
  const tuples = Array.from({ length: rows }, (_row, row) => {
    const names = Array.from({ length: plan.width }, (_column, column) => `$${row * plan.width + column + 1}`)
    return `(${names.join(',')})`
  })
  return `${plan.head}${tuples.join(',')}${plan.tail}`
}
