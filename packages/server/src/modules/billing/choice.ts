import { ProblemError } from '../../http/problem-error.ts'
import type { Billing } from './billing.ts'
import { assertFits } from './fit.ts'
import { offered } from './offer.ts'
import { requireSubscription } from './subscriptions.ts'

/**
 * What a choice of a plan begins with, whichever way it is paid for: it is sold, and the organization fits into it.
 *
 * @param assertAllowed asked of the subscription before anything is counted
 * @throws ProblemError `PLAN_NOT_OFFERED`, `PLAN_DOES_NOT_FIT`, and what `assertAllowed` throws
 */
export async function beginChoice(
  { services, db, options }: Billing,
  tenantId: string,
  wanted: string,
  assertAllowed: (
    current: Awaited<ReturnType<typeof requireSubscription>>,
    plan: ReturnType<typeof offered>,
  ) => void = () => undefined,
) {
  const plan = offered(options, wanted)
  const tenant = await services.tenancy.tenants.get(tenantId)
  const current = await requireSubscription(db, tenant)
  assertAllowed(current, plan)
  await assertFits(services, tenantId, wanted, plan)
  return { plan, tenant, current }
}

/** Asks the provider for something. What it refuses because there is something else has been noted: that is looked at now. */
export async function askProvider<T>({ settler }: Billing, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof ProblemError && error.status === 409) settler.request()
    throw error
  }
}
