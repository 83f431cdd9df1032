import pg from 'pg'

/** Connection lost or refused, no connection left, not accepting connections, shut down. */
export const unreachable = /^(08...|53300|55000|57P..)$/

/** A pool whose lost connections are reported by the queries on them, and by nothing else. */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config)
  // An 'error' that nobody listens to ends Node. The pool drops an idle connection that failed; on one that is in
  // use the running query, or the next one, reports the failure.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}
