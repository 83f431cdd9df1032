import { sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { Db } from '../tables.ts'
import { HOUR_MS, hourOf } from './rollup.ts'
import { hasChildren } from './tree.ts'

interface Mark {
  readonly hour: number
  isParent: boolean
  askedAtMs: number
}

/**
 * Says that a tenant is about to record, once for each hour and process.
 *
 * @returns whether there are others below it. Who records waits for that once an hour; then it is asked beside, for the next one
 */
export function createMarker(db: Db, { inBackground }: Pick<Services, 'inBackground'>) {
  const marks = new LRUCache<string, Mark>({ max: limits.usageMarksKept })
  return async (tenantId: string): Promise<boolean> => {
    const hour = hourOf(new Date())
    const known = marks.get(tenantId)
    if (known?.hour !== hour.getTime()) {
      const isParent = await mark(db, tenantId, hour)
      marks.set(tenantId, { hour: hour.getTime(), isParent, askedAtMs: Date.now() })
      return isParent
    }
    if (Date.now() - known.askedAtMs >= limits.usageTreeMs) {
      known.askedAtMs = Date.now()
      inBackground(async () => {
        known.isParent = await hasChildren(db, tenantId)
      })
    }
    return known.isParent
  }
}

async function mark(db: Db, tenantId: string, hour: Date): Promise<boolean> {
  const due_at = new Date(hour.getTime() + HOUR_MS + limits.usageSettleMs)
  const { isParent } = await db
    .insertInto('usage_rollup')
    .values({ tenant_id: tenantId, marked_hour: hour, rolled_through: hour, due_at })
    .onConflict((conflict) =>
      conflict.column('tenant_id').doUpdateSet({
        marked_hour: sql<Date>`greatest(usage_rollup.marked_hour, excluded.marked_hour)`,
        due_at: sql<Date>`coalesce(usage_rollup.due_at, excluded.due_at)`,
      }),
    )
    .returning(sql<boolean>`exists (select from billing.children_of(${tenantId}))`.as('isParent'))
    .executeTakeFirstOrThrow()
  return isParent
}
