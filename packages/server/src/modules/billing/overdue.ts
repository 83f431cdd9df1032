import { sql } from 'kysely'
import type { Db } from './tables.ts'

/** Since when an organization has not paid what it should have; null when it has. */
export async function findOverdue(db: Db, tenantId: string): Promise<Date | null> {
  const { since } = await db
    .selectFrom('invoice')
    .select(({ fn }) => fn.min('due_at').as('since'))
    .where('tenant_id', '=', tenantId)
    .where('status', '=', 'open')
    .where('due_at', '<=', sql<Date>`now()`)
    .executeTakeFirstOrThrow()
  return since
}

/**
 * Has subscriptions looked at that know nothing of what is overdue: an invoice has become due, or a plan was chosen since.
 *
 * @returns whether there are any
 */
export async function noticeOverdue(db: Db): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('subscription')
    .set({ hints: sql<string>`hints + 1`, due_at: sql<Date>`now()`, attempts: 0 })
    .where('status', '=', 'active')
    .where('provider_subscription', 'is', null)
    .whereRef('hints', '=', 'hints_seen')
    .where('tenant_id', 'in', (from) =>
      from
        .selectFrom('invoice')
        .select('invoice.tenant_id')
        .where('invoice.status', '=', 'open')
        .where('invoice.due_at', '<=', sql<Date>`now()`),
    )
    .executeTakeFirst()
  return numUpdatedRows > 0n
}
