import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import pg from 'pg'
import { assertFunction } from '../arguments.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { untilAborted } from './abort.ts'
import { kyselyOver } from './kysely.ts'
import { isStaleStatement } from './prepared-statements.ts'
import type { Router } from './route.ts'
import type { Statement } from './scope.ts'
import { TenantClient } from './tenant-client.ts'

/** How a transaction runs. */
export interface TransactionOptions {
  /** @defaultValue 'read committed' */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  /** @defaultValue false */
  readonly readOnly?: boolean
  /** How often the function may run in all, when it meets a serialization failure or a deadlock. @defaultValue 5 */
  readonly attemptsMax?: number
  /** Ends the transaction and its connection at once; the error is the signal's reason. */
  readonly signal?: AbortSignal
}

/** What the function of a transaction works with; of no use after it has returned. */
export interface TenantTransaction<DB = unknown> {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>
  readonly kysely: Kysely<DB>
}

/** SQLSTATEs after which the whole transaction may be repeated: serialization failure, deadlock. */
const repeatable = new Set(['40001', '40P01'])

/** Runs `work` in one transaction of the tenant; see TenantHandle.transaction. */
export async function runTransaction<DB, T>(
  router: Router,
  actor: Actor | null,
  work: (transaction: TenantTransaction<DB>) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  assertFunction('work', work)
  const attemptsMax = options.attemptsMax ?? limits.attemptsMax
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(router, actor, work, options)
    } catch (error) {
      const conflict = error instanceof pg.DatabaseError && repeatable.has(error.code ?? '')
      const worthRepeating = conflict || isStaleStatement(error)
      if (!worthRepeating || attempt >= attemptsMax) throw error
      await sleep(Math.min(limits.retryPauseMsMax, (limits.retryPauseMsMax / 10) * attempt))
    }
  }
}

async function runOnce<DB, T>(
  router: Router,
  actor: Actor | null,
  work: (transaction: TenantTransaction<DB>) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const client = new TenantClient(router, actor)
  let released = false
  const release = () => {
    if (!released) client.release()
    released = true
  }
  try {
    return await untilAborted(options.signal, () => runOn(client, router.key, work, options), release)
  } finally {
    release()
  }
}

async function runOn<DB, T>(
  client: TenantClient,
  key: string,
  work: (transaction: TenantTransaction<DB>) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  await client.query(beginText(options))
  const transaction: TenantTransaction<DB> = {
    query: (statement, values) => client.query(statement, values),
    kysely: kyselyOver<DB>({ connect: async () => withoutRelease(client) }),
  }
  const working = (async () => work(transaction))()
  const result = await working.catch(async (error: unknown) => {
    // Released without this, the connection would be ended; the caller's error matters more than a failing one.
    await client.query('rollback').catch((rollbackError: unknown) => noteCause(error, rollbackError))
    throw error
  })
  const end = await client.query('commit')
  // COMMIT of a transaction in which a statement had failed succeeds, as a ROLLBACK.
  if (end.command !== 'COMMIT') throw new QuickScaleError('TRANSACTION_FAILED', { key })
  return result
}

function beginText(options: TransactionOptions): string {
  const isolation = options.isolation ?? 'read committed'
  const levels = ['read committed', 'repeatable read', 'serializable']
  if (!levels.includes(isolation)) {
    throw new QuickScaleError('STATEMENT_REFUSED', { reason: `unknown isolation level ${isolation}` })
  }
  return `begin isolation level ${isolation} ${options.readOnly === true ? 'read only' : 'read write'}`
}

function withoutRelease(client: TenantClient): pg.PoolClient {
  return {
    query: client.query.bind(client),
    release: () => undefined,
  } as unknown as pg.PoolClient
}

function noteCause(error: unknown, rollbackError: unknown): void {
  if (error instanceof Error && error.cause === undefined) error.cause = rollbackError
}
