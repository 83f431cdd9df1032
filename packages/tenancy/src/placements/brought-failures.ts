/**
 * The server of a customer is not ours to keep up: what cannot be done in one brought database is told by tenant, and
 * keeps nobody else's from being done.
 */
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'

/** What could not be done in a database that a customer has brought. */
export interface BroughtFailure {
  readonly tenantId: string
  /** Of the library's error, or PostgreSQL's SQLSTATE. */
  readonly code: string
  readonly error: unknown
}

/** These are about the installation itself. */
const own = new Set(['CATALOG_UNREACHABLE', 'LOCK_LOST', 'NOT_INSTALLED', 'TENANCY_CLOSED'])

/** Runs `work` for each, a few at a time, and tells for whom it failed. */
export async function inEachBrought<Item>(
  items: readonly Item[],
  tenantOf: (item: Item) => string,
  work: (item: Item) => Promise<void>,
): Promise<BroughtFailure[]> {
  const failures: BroughtFailure[] = []
  const one = async (item: Item) => {
    try {
      await work(item)
    } catch (error) {
      if (error instanceof QuickScaleError && own.has(error.code)) throw error
      failures.push({ tenantId: tenantOf(item), code: codeOf(error), error })
    }
  }
  for (let at = 0; at < items.length; at += limits.broughtConcurrency) {
    const outcomes = await Promise.allSettled(items.slice(at, at + limits.broughtConcurrency).map(one))
    // Not before all have ended: nothing of it may go on behind the caller's back.
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }
  return failures
}

export function codeOf(error: unknown): string {
  if (error instanceof QuickScaleError) return error.code
  return error instanceof pg.DatabaseError && error.code !== undefined ? error.code : 'UNKNOWN'
}
