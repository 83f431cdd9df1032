import type { TenantHandle, TransactionOptions } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { type Database, databaseOver, type HeldConnection } from './database.ts'

/** A transaction that begins with its first statement; work that has none costs nothing. */
export interface LateTransaction {
  readonly db: Database
  /** Whether it has begun. */
  readonly begun: boolean
  /** Chooses how it begins, unless it has. */
  choose(options: TransactionOptions): void
  /** Commits what was done; once. */
  commit(): Promise<void>
  /** Takes it back; the reason is whoever calls this's. */
  rollback(): Promise<void>
}

export function openLate(tenant: Pick<TenantHandle<TenantTables>, 'transaction'>): LateTransaction {
  const over = Promise.withResolvers<void>()
  // Nobody may be waiting for it when it ends badly.
  over.promise.catch(() => undefined)
  let options: TransactionOptions = {}
  let running: Promise<void> | undefined
  let client: Promise<HeldConnection> | undefined
  const begin = (): Promise<HeldConnection> => {
    client ??= new Promise((resolve, reject) => {
      // Once: what the statements belong to does not run again.
      running = tenant.transaction(
        async ({ query }) => {
          resolve({ query })
          await over.promise
        },
        { ...options, attemptsMax: 1 },
      )
      running.catch(reject)
    })
    return client
  }
  return {
    db: databaseOver(begin),
    get begun() {
      return client !== undefined
    },
    choose: (chosen) => {
      options = chosen
    },
    async commit() {
      over.resolve()
      await running
    },
    async rollback() {
      over.reject(new Error('taken back'))
      await running?.catch(() => undefined)
    },
  }
}
