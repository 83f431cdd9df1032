import { findUnfinishedMove } from '../catalog/moves.ts'
import { changeTenantState } from '../catalog/tenant-states.ts'
import { listChildren } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { type Attempt, abandonTenant, type Held, inspectTenant, removeTenant } from '../placements/removal.ts'
import { type Plans, requirePlace } from '../placements/reserve.ts'
import type { Holding, Place, Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { withTenantLocked } from './locked.ts'
import type { StateChange } from './states.ts'

/** How a tenant is deleted. */
export interface DeleteOptions extends StateChange {
  /** Only tell what would go. @defaultValue false */
  readonly dryRun?: boolean
  /**
   * Forget the tenant even when the database that its customer brought cannot be reached; what is there stays there.
   * @defaultValue false
   */
  readonly abandon?: boolean
}

/** What a deletion has taken away, or would. */
export interface Deletion {
  readonly tenantId: string
  readonly dryRun: boolean
  /** Rows by table, fence, schema, database, login role; empty when nothing was left to take. */
  readonly gone: readonly Holding[]
}

/**
 * Deletes a tenant with everything it has. Goes on where an interrupted deletion stopped; one that is done stays done.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_HAS_CHILDREN`, `TENANT_MOVING`,
 *   `TENANT_REMAINS`, `LOCK_LOST`
 */
export async function deleteTenant(
  workshop: Workshop,
  plans: Plans,
  key: string,
  options: DeleteOptions = {},
): Promise<Deletion> {
  const { dryRun = false } = options
  return await withTenantLocked(workshop, key, { apart: true }, async (tenant, held) => {
    if (tenant.state === 'deleted') return { tenantId: tenant.id, dryRun, gone: [] }
    if ((await findUnfinishedMove(workshop.catalog.db, tenant.id)) !== null) {
      throw new QuickScaleError('TENANT_MOVING', { key })
    }
    const children = await listChildren(workshop.catalog.db, tenant.id)
    if (children.length > 0) {
      throw new QuickScaleError('TENANT_HAS_CHILDREN', { key, children: children.join(', ') })
    }
    const { attempt, place } = await beginRemoval(held, plans, tenant)
    if (dryRun) return { tenantId: tenant.id, dryRun, gone: await inspectTenant(attempt, tenant.id, place) }
    return { tenantId: tenant.id, dryRun, gone: await finishDeletion(attempt, tenant, place, options) }
  })
}

/** From where the catalog places the tenant. */
export async function beginRemoval(
  held: Held,
  plans: Plans,
  tenant: Tenant,
): Promise<{ attempt: Attempt; place: Place }> {
  const { strategy, place } = await requirePlace(held.workshop, plans, tenant)
  return { attempt: { ...held, strategy }, place }
}

async function finishDeletion(
  attempt: Attempt,
  tenant: Tenant,
  place: Place,
  { reason, graceMs = limits.closingGraceMs, abandon = false }: DeleteOptions,
): Promise<readonly Holding[]> {
  const { db } = attempt.workshop.catalog
  const audit = { action: 'tenant.deleting', details: reason === undefined ? {} : { reason } }
  const deleting =
    tenant.state === 'deleting' ? tenant : await changeTenantState(db, tenant, 'deleting', audit)
  if (abandon && (await abandonTenant(attempt, deleting, place))) return []
  return await removeTenant(attempt, deleting, place, graceMs)
}
