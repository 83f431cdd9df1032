import type { Readable } from 'node:stream'
import type { Kysely } from 'kysely'
import type pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { type BulkInsertOptions, type BulkRows, insertBulk } from './bulk-insert.ts'
import { CopyOut, type CopyOutOptions } from './copy-out.ts'
import { kyselyOver } from './kysely.ts'
import type { Rewriting } from './rewrite/rewrite.ts'
import type { Router } from './route.ts'
import { type StreamOptions, streamRows } from './row-stream.ts'
import type { Statement } from './scope.ts'
import { explainStatement, runStatement, TenantPool } from './tenant-pool.ts'
import { assertActor } from './token.ts'
import { runTransaction, type TenantTransaction, type TransactionOptions } from './transaction.ts'

/** On whose behalf a handle works. */
export interface TenantOptions {
  /** Sealed into the context of every statement. @defaultValue nobody */
  readonly actor?: Actor
  /**
   * Milliseconds a statement may take before the server cancels it (SQLSTATE 57014): a whole number, less than
   * `connections.statementTimeoutMs`, which holds all the same. It is set in the transaction of each statement.
   * @defaultValue `connections.statementTimeoutMs`
   */
  readonly statementTimeoutMs?: number
  /**
   * Prepares a text without a name when it comes to a connection again, alone and not in a transaction: the server then parses and
   * plans it no more. As with a name, its parameters keep the types that they had, whatever a migration makes of the columns:
   * processes that were running before are to be restarted after one that changes a type. Behind a pooler nothing is prepared.
   * @defaultValue false
   */
  readonly prepare?: boolean
}

/**
 * One tenant, ready to be worked with. Cheap: nothing is connected or looked up before the first statement.
 *
 * @example
 * const acme = tenancy.tenant('acme')
 * const { rows } = await acme.query('select * from contact where email = $1', ['ann@acme.example'])
 */
export interface TenantHandle<DB = unknown> {
  /** The key it was asked for by. */
  readonly key: string
  /**
   * Runs one statement, in one network round trip and a transaction of its own.
   *
   * @param statement SQL text, or `{ text, values, name, rowMode, types }` as `pg` takes it; a `name` prepares it
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_PROVISIONING`, `TENANT_SUSPENDED`, `TENANT_ARCHIVED`,
   *   `TENANT_DELETED`, `STATEMENT_REFUSED`, `CONNECTION_TIMEOUT`, `STATEMENT_TIMEOUT`, `TENANT_UNREACHABLE`; errors of the statement itself are pg's `DatabaseError`
   */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>
  /**
   * Runs `work` in one transaction; commits when it returns, rolls back when it throws. The function may run again
   * after a serialization failure, a deadlock or a move of the tenant, so it should have no other effects.
   *
   * @throws QuickScaleError `TRANSACTION_FAILED` when a failed statement was caught and COMMIT rolled back
   */
  transaction<T>(
    work: (transaction: TenantTransaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>
  /**
   * Inserts many rows in one transaction: all of them, or none. The rows may come from an async iterator, which is asked
   * for more only when the database has taken what it gave; rows given as an array are sent again after a deadlock.
   *
   * @param table name of the table, without schema
   * @param columns the columns that the rows have values for; others get their defaults
   * @returns how many rows were inserted
   * @throws QuickScaleError `BULK_INSERT_FAILED` with the position of the refused batch and the database's error as
   *   `cause`, `BULK_ROW_INVALID`, `IDENTIFIER_INVALID`, and what `transaction` throws
   * @example
   * await acme.bulkInsert('contact', ['name', 'email'], [['Ann', 'ann@acme.example'], ['Bob', null]])
   */
  bulkInsert(
    table: string,
    columns: readonly string[],
    rows: BulkRows,
    options?: BulkInsertOptions,
  ): Promise<{ rows: number }>
  /**
   * The rows of a SELECT, one after the other, in memory only `batchSize` at a time. They are of one moment: a READ ONLY
   * transaction under REPEATABLE READ, which keeps a connection until the loop is left.
   *
   * @throws QuickScaleError `READER_IDLE` when the loop has taken longer than `idleMs` over one row, and what `query`
   *   throws
   * @example
   * for await (const row of acme.stream('select * from contact order by id', [], { batchSize: 1000 })) write(row)
   */
  stream<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
    options?: StreamOptions,
  ): AsyncGenerator<Row, void, undefined>
  /**
   * What a SELECT returns, as COPY TO writes it: the fastest way out of the database. Parameters are not possible. The
   * connection is taken at the first read and kept until the end; destroying the stream ends it.
   *
   * @returns a Readable of bytes; its errors are `STATEMENT_REFUSED`, `READER_IDLE` and what `query` throws
   * @example
   * await pipeline(acme.copyTo('select * from contact', { format: 'csv', header: true }), createWriteStream('out.csv'))
   */
  copyTo(query: string, options?: CopyOutOptions): Readable
  /**
   * What is sent in place of a text, and why: `ON CONFLICT` and `GROUP BY` rely on keys that contain `tenant_id` here.
   * Runs nothing of it; asks the database for the tenant's tables.
   *
   * @throws QuickScaleError what `query` throws before it sends the statement
   * @example
   * const { text, changes } = await acme.explainSql('insert into contact (email) values ($1) on conflict (email) do nothing')
   * // insert into contact (email) values ($1) on conflict ("tenant_id", email) do nothing
   */
  explainSql(text: string): Promise<Rewriting>
  /** For libraries that take a `pg.Pool`. */
  readonly pool: TenantPool
  readonly kysely: Kysely<DB>
}

/**
 * @throws QuickScaleError `ACTOR_INVALID`, `CONFIG_INVALID`
 */
export function createHandle<DB>(shared: Router, options: TenantOptions): TenantHandle<DB> {
  const { statementTimeoutMs = shared.statementTimeoutMs, prepare = false } = options
  if (statementTimeoutMs !== undefined) assertTimeout(statementTimeoutMs)
  const router = { ...shared, prepare, ...(statementTimeoutMs !== undefined && { statementTimeoutMs }) }
  // A copy: what was checked must not change afterwards.
  const actor = options.actor === undefined ? null : { id: options.actor.id, role: options.actor.role }
  if (actor !== null) assertActor(actor)
  let pool: TenantPool | undefined
  let kysely: Kysely<DB> | undefined
  const openPool = () => {
    pool ??= new TenantPool(router, actor)
    return pool
  }
  return {
    key: router.key,
    query: <Row extends pg.QueryResultRow>(statement: string | Statement, values?: unknown[]) =>
      runStatement(router, actor, statement, values) as Promise<pg.QueryResult<Row>>,
    transaction: (work, transactionOptions) => runTransaction(router, actor, work, transactionOptions),
    bulkInsert: (table, columns, rows, bulkOptions) =>
      insertBulk(router, actor, { table, columns }, rows, bulkOptions),
    stream: (statement, values, streamOptions) => streamRows(router, actor, statement, values, streamOptions),
    copyTo: (query, copyOptions) => new CopyOut(router, actor, query, copyOptions),
    explainSql: (text) => explainStatement(router, actor, text),
    get pool() {
      return openPool()
    },
    get kysely() {
      kysely ??= kyselyOver<DB>(openPool())
      return kysely
    },
  }
}

function assertTimeout(milliseconds: number): void {
  if (Number.isInteger(milliseconds) && milliseconds >= 1 && milliseconds <= limits.connectionTimesMsMax)
    return
  const problem = `statementTimeoutMs must be a whole number from 1 to ${limits.connectionTimesMsMax}`
  throw new QuickScaleError('CONFIG_INVALID', { problem })
}
