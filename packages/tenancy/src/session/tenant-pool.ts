import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import type { Actor } from '../tenant.ts'
import { untilAborted } from './abort.ts'
import type { Rewriting } from './rewrite/rewrite.ts'
import type { Router } from './route.ts'
import type { Statement } from './scope.ts'
import { readStatement, TenantClient } from './tenant-client.ts'
import { TenantSession } from './tenant-session.ts'

type QueryCallback = (error: Error | null, result?: pg.QueryResult) => void
type ConnectCallback = (
  error: Error | undefined,
  client?: pg.PoolClient,
  done?: (release?: unknown) => void,
) => void

/**
 * One tenant's view of the shared pools, for every library that takes a `pg.Pool`. It owns no connection: each unit
 * of work is routed to the pool of the database the tenant lives in at that moment.
 */
export class TenantPool extends pg.Pool {
  readonly #router: Router
  readonly #actor: Actor | null
  #finished = false

  constructor(router: Router, actor: Actor | null) {
    super({ max: 1 })
    this.#router = router
    this.#actor = actor
  }

  override connect(): Promise<pg.PoolClient>
  override connect(callback: ConnectCallback): void
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const client = new TenantClient(this.#router, this.#actor) as unknown as pg.PoolClient
    if (callback === undefined) {
      return this.#finished
        ? Promise.reject(new QuickScaleError('CONNECTION_RELEASED'))
        : Promise.resolve(client)
    }
    if (this.#finished) callback(new QuickScaleError('CONNECTION_RELEASED'))
    else callback(undefined, client, () => client.release())
    return undefined
  }

  // pg declares a dozen overloads; one signature answers them all.
  override query: pg.Pool['query'] = ((
    statement: string | Statement,
    values?: unknown,
    callback?: unknown,
  ) => {
    const done = [values, callback].find((candidate) => typeof candidate === 'function') as
      | QueryCallback
      | undefined
    const given = typeof values === 'function' ? undefined : ((values ?? undefined) as unknown[] | undefined)
    const result = this.#run(statement, given)
    if (done === undefined) return result
    result.then((rows) => done(null, rows), done)
    return undefined
  }) as pg.Pool['query']

  /** Ends this view only; the connections belong to the tenancy. */
  override end(): Promise<void>
  override end(callback: () => void): void
  override end(callback?: () => void): Promise<void> | undefined {
    this.#finished = true
    if (callback === undefined) return Promise.resolve()
    callback()
    return undefined
  }

  async #run(statement: string | Statement, values: unknown[] | undefined): Promise<pg.QueryResult> {
    if (this.#finished) throw new QuickScaleError('CONNECTION_RELEASED')
    return await runStatement(this.#router, this.#actor, statement, values)
  }
}

/** Runs one statement as a unit of work of its own. */
export async function runStatement(
  router: Router,
  actor: Actor | null,
  statement: string | Statement,
  values: unknown[] | undefined,
  signal?: AbortSignal,
): Promise<pg.QueryResult> {
  const session = new TenantSession(router, actor)
  try {
    const asked = readStatement(statement, values)
    if (signal === undefined) return await session.query(asked, true)
    return await untilAborted(
      signal,
      () => session.query(asked, true),
      () => session.release(),
    )
  } finally {
    session.release()
  }
}

/** What a statement would be sent as. */
export async function explainStatement(
  router: Router,
  actor: Actor | null,
  text: string,
): Promise<Rewriting> {
  const session = new TenantSession(router, actor)
  try {
    return await session.explain(text)
  } finally {
    session.release()
  }
}
