import type { Tenancy } from '@quickscale/tenancy'
import { CompiledQuery } from 'kysely'
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
} from 'rate-limiter-flexible'
import type { Limits } from './options.ts'

/** One kind of limit: so many points in a window, for each key. */
export interface CounterOptions {
  /** Keys of different kinds do not meet. */
  readonly keyPrefix: string
  readonly points: number
  /** Seconds. */
  readonly duration: number
}

export type MakeCounter = (options: CounterOptions) => RateLimiterAbstract

/**
 * Makes counters in the configured store. While a shared store cannot be reached each process counts on its own, and whoever has
 * used everything up is not looked up again before the window ends.
 */
export function openStore(
  store: Limits['store'],
  { controlPlane }: Pick<Tenancy, 'controlPlane'>,
): MakeCounter {
  if (store.kind === 'memory') return (options) => new RateLimiterMemory(options)
  const shared = (options: CounterOptions) => ({
    ...options,
    inMemoryBlockOnConsumed: options.points,
    insuranceLimiter: new RateLimiterMemory(options),
  })
  if (store.kind === 'redis') {
    const { client: storeClient, package: name } = store
    return (options) =>
      new RateLimiterRedis({ ...shared(options), storeClient, useRedisPackage: name === 'redis' })
  }
  const db = controlPlane.kysely('limits')
  const storeClient = {
    query: ({ text, values = [] }: { readonly text: string; readonly values?: readonly unknown[] }) =>
      db.executeQuery(CompiledQuery.raw(text, [...values])),
  }
  const table = { schemaName: 'limits', tableName: 'counter', tableCreated: true, storeType: 'pool' }
  return (options) => new RateLimiterPostgres({ ...shared(options), ...table, storeClient })
}
