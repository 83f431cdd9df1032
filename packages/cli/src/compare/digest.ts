import pg from 'pg'
import { canonical } from '../check/rows.ts'

/** What stands for all rows of a relation, whatever their order. */
export interface Digest {
  readonly rows: number
  readonly digest: string
}

/** Runs one statement: as the administrator on the original, or as a tenant in its place. */
export type Run = (text: string) => Promise<pg.QueryResult>

/** Each in one transaction of its own, so that one that fails does not stop the others. */
export type InTransaction = <T>(work: (run: Run) => Promise<T>) => Promise<T>

/** Ways to read that put rows into different orders; a view without ORDER BY may depend on any of them. */
const orders = {
  natural: [],
  physical: ['enable_indexscan = off', 'enable_indexonlyscan = off', 'enable_bitmapscan = off'],
} as const

export async function digestRelation(
  inTransaction: InTransaction,
  relation: string,
  columns: readonly string[],
): Promise<Digest> {
  return await inTransaction(async (run) => {
    await pin(run, canonical)
    return await read(run, relation, columns)
  })
}

/** Of a view's rows when the planner reads in one of the orders, or the SQLSTATE with which the view fails. */
export async function digestView(
  inTransaction: InTransaction,
  view: string,
  columns: readonly string[],
  order: keyof typeof orders,
): Promise<string> {
  return await inTransaction(async (run) => {
    // Sums of floating-point numbers depend on the order of rows, in their last digits.
    await pin(run, [...canonical, 'extra_float_digits = 0', ...orders[order]])
    const { rows, digest } = await read(run, view, columns)
    return `${rows} rows, digest ${digest}`
  }).catch(sqlState)
}

async function pin(run: Run, settings: readonly string[]): Promise<void> {
  for (const setting of settings) await run(`set local ${setting}`)
}

async function read(run: Run, relation: string, columns: readonly string[]): Promise<Digest> {
  const row = `row(${columns.map(pg.escapeIdentifier).join(', ')})`
  const half = (from: number) =>
    `coalesce(sum(('x' || substr(hash, ${from}, 16))::bit(64)::bigint::numeric), 0)`
  const { rows } = await run(
    `select count(*)::text as rows, concat(${half(1)}, '/', ${half(17)}) as digest
       from (select md5(${row}::text) as hash from ${relation}) as hashed`,
  )
  return { rows: Number(rows[0]?.rows), digest: String(rows[0]?.digest) }
}

/** An error of the database as a value; everything else stays an error. */
export function sqlState(error: unknown): string {
  if (error instanceof pg.DatabaseError) return `fails with SQLSTATE ${error.code}`
  throw error
}
