import { EventEmitter } from 'node:events'
import type pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import type { Router } from './route.ts'
import type { CopySink, Statement } from './scope.ts'
import { TenantSession } from './tenant-session.ts'

type Callback = (error: Error | null, result?: pg.QueryResult) => void

/**
 * What a TenantPool hands out: behaves as a checked-out client of `pg`, for one tenant. Statements run in the order
 * they were given. Each outside a transaction is one scoped round trip; BEGIN carries the scope for the rest.
 */
export class TenantClient extends EventEmitter {
  readonly #session: TenantSession
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #released = false

  constructor(router: Router, actor: Actor | null) {
    super()
    this.#session = new TenantSession(router, actor)
  }

  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>
  query(statement: string | Statement, values: unknown[] | Callback | undefined, callback?: Callback): void
  query(
    statement: string | Statement,
    values?: unknown[] | Callback,
    callback?: Callback,
  ): Promise<pg.QueryResult> | undefined {
    const done = typeof values === 'function' ? values : callback
    const result = this.#enqueue(() =>
      this.#session.query(
        readStatement(statement, typeof values === 'function' ? undefined : (values ?? undefined)),
      ),
    )
    if (done === undefined) return result
    result.then((rows) => done(null, rows), done)
    return undefined
  }

  /** Runs COPY (query) TO STDOUT inside an open transaction. */
  copyOut(text: string, sink: CopySink): Promise<pg.QueryResult> {
    return this.#enqueue(() => this.#session.copyOut(text, sink))
  }

  /** Lets more of a COPY come, after its sink wanted no more. */
  resume(): void {
    this.#session.resume()
  }

  /** Gives the connection back. Statements still waiting are refused, a running one ends with its connection. */
  release(): void {
    if (this.#released) throw new QuickScaleError('CONNECTION_RELEASED')
    this.#released = true
    this.#session.release()
  }

  #enqueue(work: () => Promise<pg.QueryResult>): Promise<pg.QueryResult> {
    const run = async () => {
      if (this.#released) throw new QuickScaleError('CONNECTION_RELEASED')
      return await work()
    }
    this.#waiting += 1
    const result = this.#waiting === 1 ? run() : this.#queue.then(run, run)
    this.#queue = result
    const settle = () => {
      this.#waiting -= 1
    }
    result.then(settle, settle)
    return result
  }
}

/**
 * Reads the forms in which pg takes a statement.
 *
 * @throws QuickScaleError `STATEMENT_REFUSED` for what is not SQL text, cursors and streams among it
 */
export function readStatement(statement: string | Statement, values?: unknown[]): Statement {
  const parameters: unknown = values ?? (statement as Partial<Statement> | undefined)?.values ?? []
  // Of anything else the driver sends nothing, and the statement would seem to have run.
  if (!Array.isArray(parameters)) {
    throw new QuickScaleError('STATEMENT_REFUSED', {
      reason: 'its values are an array, one for each parameter',
    })
  }
  // Their number has 16 bits on its way to the server.
  if (parameters.length > limits.statementValuesMax) {
    throw new QuickScaleError('STATEMENT_REFUSED', {
      reason: `it has ${parameters.length} values, and ${limits.statementValuesMax} are the most`,
    })
  }
  if (typeof statement === 'string')
    return values === undefined ? { text: statement } : { text: statement, values }
  if (typeof statement?.text !== 'string' || 'submit' in statement) {
    throw new QuickScaleError('STATEMENT_REFUSED', {
      reason: 'a statement is SQL text, or an object with `text`',
    })
  }
  return values === undefined ? statement : { ...statement, values }
}
