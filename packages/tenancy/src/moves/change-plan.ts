import { findUnfinishedMove } from '../catalog/moves.ts'
import { findTenant, parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { updateDetails } from '../lifecycle/update.ts'
import { isOnTheWay, type Move } from '../move.ts'
import { type Plans, planOf } from '../placements/reserve.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { driveToArrival } from './arrival.ts'
import { assertOptions, type DriveOptions } from './drive.ts'
import { moveTo } from './move-to.ts'
import type { Destination } from './plan.ts'
import type { Turns } from './turns.ts'

/** How the move goes, when the plan needs one. */
export type PlanChangeOptions = DriveOptions & Pick<Destination, 'rollbackWindowMs' | 'server'>

/** What a change of plan has done. */
export interface PlanChange {
  readonly tenant: Tenant
  /** Null when the tenant could stay where it is. */
  readonly move: Move | null
}

/** Changes of plan that may need a move. */
export interface PlanChanges {
  /**
   * Gives the tenant a plan, whatever that needs: when it means another strategy, or its rules exclude the server that the
   * tenant lives on, the tenant is moved while it works, and has the plan when it has arrived. Repeat it after an
   * interruption: it goes on. A rollback of the move gives the earlier plan back.
   *
   * @param options of the move; `server` only matters when there is one
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_DELETED`, `PLAN_UNKNOWN`, `MOVE_OPTION_INVALID`; when it needs a move:
   *   `TENANT_MOVING` while it is on another one, `PLACEMENT_REFUSED`, `MOVE_CANCELLED`, and what `moves.start` throws
   * @example
   * const { move } = await tenancy.tenants.changePlan('acme', 'enterprise')
   * console.log(move === null ? 'it stays where it is' : `it lives in ${move.target.database} now`)
   */
  changePlan(key: string, plan: string, options?: PlanChangeOptions): Promise<PlanChange>
}

/** The tenants of an installation, with what needs moves too. */
export function withPlanChanges<T extends object>(
  tenants: T,
  workshop: Workshop,
  plans: Plans,
  turns: Turns,
): T & PlanChanges {
  return {
    ...tenants,
    changePlan: (key, plan, options) => changePlan(workshop, plans, turns, key, plan, options),
  }
}

async function changePlan(
  workshop: Workshop,
  plans: Plans,
  turns: Turns,
  key: string,
  plan: string,
  options: PlanChangeOptions = {},
): Promise<PlanChange> {
  const { db } = workshop.catalog
  assertOptions(options)
  planOf(plans, plan)
  const requireTenant = async (tenantKey: ReturnType<typeof parseTenantKey>): Promise<Tenant> => {
    const tenant = await findTenant(db, tenantKey)
    if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
    return tenant
  }
  const { id } = await requireTenant(parseTenantKey(key))
  const underWay = await findUnfinishedMove(db, id)
  if (underWay?.plan === plan && isOnTheWay(underWay) && underWay.request !== 'cancel') {
    const move = await turns(() => driveToArrival(workshop, underWay.id, options))
    return { tenant: await requireTenant({ id }), move }
  }
  const tenant = await updateDetails(workshop, plans, id, { plan }).catch((error: unknown) => {
    if (error instanceof QuickScaleError && error.code === 'PLAN_NEEDS_MOVE') return null
    throw error
  })
  if (tenant !== null) return { tenant, move: null }
  const move = await moveTo(workshop, plans, id, { ...options, plan }, (moveId) =>
    turns(() => driveToArrival(workshop, moveId, options)),
  )
  return { tenant: await requireTenant({ id }), move }
}
