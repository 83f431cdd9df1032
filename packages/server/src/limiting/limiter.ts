import type { Tenancy } from '@quickscale/tenancy'
import { Lanes } from './lanes.ts'
import type { LimitedTenant } from './limited-tenant.ts'
import { type LimitOptions, limitsByPlan, parseLimits } from './options.ts'
import { createRates, type Rates } from './rates.ts'
import { openStore } from './store.ts'

/** What requests may use. */
export interface Limiter extends Rates {
  /**
   * The tenant that a request names though nobody in it is known: what everybody may see.
   *
   * @returns null when there is no such tenant
   */
  findTenant(key: string): Promise<LimitedTenant | null>
  /** What the handle of the tenant is opened with. */
  handleOptions(tenant: LimitedTenant): { readonly statementTimeoutMs?: number }
  /** Does the work of a request when its tenant may have another one. @throws ProblemError `TENANT_BUSY` */
  run<T>(tenant: LimitedTenant, work: () => Promise<T>): Promise<T>
}

/**
 * @throws QuickScaleError `CONFIG_INVALID`
 */
export function createLimiter(
  tenancy: Pick<Tenancy, 'controlPlane' | 'members' | 'plans'>,
  options: LimitOptions = {},
): Limiter {
  const plans = Object.keys(tenancy.plans)
  const limits = parseLimits(options, plans)
  const planLimits = limitsByPlan(limits, plans)
  const lanes = new Lanes()
  return {
    ...createRates(limits, planLimits, openStore(limits.store, tenancy)),
    async findTenant(key) {
      const [own] = await tenancy.members.rememberedLineage(key)
      return own === undefined ? null : { id: own.tenantId, plan: own.plan }
    },
    handleOptions: ({ plan }) => {
      const { statementTimeoutMs } = planLimits(plan)
      return statementTimeoutMs === undefined ? {} : { statementTimeoutMs }
    },
    run: ({ id, plan }, work) => lanes.run(id, planLimits(plan), work),
  }
}
