import type { Tenant } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { ProblemError } from '../../http/problem-error.ts'
import type { Changes, Db, Subscription } from './tables.ts'

/** What an organization has; null when it has never asked for anything. */
export async function findSubscription(db: Db, tenantId: string): Promise<Subscription | null> {
  const found = db.selectFrom('subscription').selectAll().where('tenant_id', '=', tenantId)
  return (await found.executeTakeFirst()) ?? null
}

/** The same, made with the plan that the tenant has. */
export async function requireSubscription(db: Db, { id, plan }: Tenant): Promise<Subscription> {
  await db
    .insertInto('subscription')
    .values({ tenant_id: id, plan })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return await db.selectFrom('subscription').selectAll().where('tenant_id', '=', id).executeTakeFirstOrThrow()
}

/**
 * Changes what was read, if it is still so, and has the tenant follow. A plan among the changes of somebody who `chooses`
 * is chosen now, though it is the same one.
 *
 * @throws ProblemError `CONFLICT` when somebody else has changed it since
 */
export async function changeSubscription(
  db: Db,
  { tenant_id, version, plan }: Subscription,
  changes: Changes,
  { chooses = false } = {},
): Promise<Subscription> {
  const other = changes.plan !== undefined && (chooses || changes.plan !== plan)
  const changed = await db
    .updateTable('subscription')
    .set({
      ...changes,
      ...(other && { plan_since: sql<Date>`now()` }),
      version: sql<string>`version + 1`,
      due_at: sql<Date>`now()`,
      attempts: 0,
      failure: null,
    })
    .where('tenant_id', '=', tenant_id)
    .where('version', '=', version)
    .returningAll()
    .executeTakeFirst()
  if (changed !== undefined) return changed
  throw new ProblemError(409, 'CONFLICT', 'The subscription was changed at the same moment; try again')
}

/** The provider has something new to say of a subscription: it is to be read there. @param by a column that is unique @param options `chooses`: its plan was chosen just now */
export async function hint(
  db: Db,
  by: 'tenant_id' | 'customer',
  value: string,
  { chooses = false } = {},
): Promise<void> {
  await db
    .updateTable('subscription')
    .set({
      hints: sql<string>`hints + 1`,
      ...(chooses && { plan_since: sql<Date>`now()` }),
      due_at: sql<Date>`now()`,
      attempts: 0,
    })
    .where(by, '=', value)
    .execute()
}

/** A subscription as the API shows it. */
export function describe(tenant: Tenant, subscription: Subscription | null) {
  const { plan } = subscription ?? tenant
  const failure = subscription?.failure ?? null
  const state = failure === null ? ('pending' as const) : ('blocked' as const)
  return {
    status: subscription?.status ?? ('none' as const),
    plan,
    interval: subscription?.interval ?? null,
    currency: subscription?.currency ?? null,
    trial_until: subscription?.trial_until ?? null,
    period_ends_at: subscription?.period_ends_at ?? null,
    cancel_at: subscription?.cancel_at ?? null,
    past_due_since: subscription?.past_due_since ?? null,
    suspended: subscription?.suspended_at != null,
    change:
      plan === tenant.plan && failure === null
        ? null
        : { from: tenant.plan, to: plan, state, reason: failure },
  }
}
