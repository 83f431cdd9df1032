import { QuickScaleError } from '@quickscale/tenancy'
import { ProblemError } from '../../http/problem-error.ts'
import type { Services } from '../module.ts'
import type { BillingOptions, BillingPlan } from './options.ts'

type Surroundings = Pick<Services, 'tenancy' | 'gauges'>

/**
 * Refuses a plan that a tenant is too large for, or cannot be moved to; changes nothing.
 *
 * @throws ProblemError `PLAN_DOES_NOT_FIT` with everything that is in the way
 */
export async function assertFits(
  surroundings: Surroundings,
  tenantId: string,
  name: string,
  plan: BillingPlan,
): Promise<void> {
  const misfits = [
    ...(await findExcess(surroundings, tenantId, plan)),
    ...(await findObstacles(surroundings, tenantId, name)),
  ]
  if (misfits.length === 0) return
  const errors = misfits.map((message) => ({ in: 'body' as const, path: '/plan', message }))
  const detail = `The organization does not fit into ${name}: ${misfits.join('; ')}`
  throw new ProblemError(409, 'PLAN_DOES_NOT_FIT', detail, errors)
}

async function findExcess({ gauges }: Surroundings, tenantId: string, plan: BillingPlan): Promise<string[]> {
  const misfits: string[] = []
  for (const [quota, { hard }] of Object.entries(plan.quotas)) {
    const measure = gauges.get(quota)
    if (measure === undefined || hard === undefined) continue
    const count = await measure(tenantId).catch(uncounted)
    if (count > hard) misfits.push(`${quota}: there are ${count}, ${hard} are allowed`)
  }
  return misfits
}

/** What only the tenant's place knows is left out while nobody gets in there: else nobody could pay to have it opened. */
function uncounted(error: unknown): number {
  if (error instanceof QuickScaleError && error.code === 'TENANT_SUSPENDED') return 0
  throw error
}

/** Reasons why the tenant cannot live as the plan wants it to. */
async function findObstacles({ tenancy }: Surroundings, tenantId: string, plan: string): Promise<string[]> {
  const { strategy } = await tenancy.tenants.placement(tenantId)
  if (tenancy.plans[plan]?.strategy === strategy) return []
  try {
    return [...(await tenancy.moves.plan(tenantId, { plan })).obstacles]
  } catch (error) {
    if (!(error instanceof QuickScaleError)) throw error
    // It waits for its turn behind the move that is under way.
    if (error.code === 'TENANT_MOVING') return []
    if (error.code === 'MOVE_REFUSED' || error.code === 'PLACEMENT_REFUSED')
      return [String(error.details?.reasons)]
    throw error
  }
}

/** Refuses one more of what the plan has no more of. @throws ProblemError `QUOTA_EXCEEDED` */
export async function assertQuota(
  { tenancy, gauges }: Surroundings,
  { plans }: Pick<BillingOptions, 'plans'>,
  tenantId: string,
  quota: string,
): Promise<void> {
  const { plan } = await tenancy.tenants.get(tenantId)
  const hard = plans[plan]?.quotas[quota]?.hard
  const measure = gauges.get(quota)
  if (hard === undefined || measure === undefined || (await measure(tenantId)) < hard) return
  throw new ProblemError(
    402,
    'QUOTA_EXCEEDED',
    `The plan ${plan} has ${hard} of ${quota}; choose another plan`,
  )
}
