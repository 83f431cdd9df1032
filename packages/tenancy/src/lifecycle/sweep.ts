import { listUnsettled } from '../catalog/tenant-states.ts'
import { findTenant } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { finishProvisioning } from '../placements/provision.ts'
import { type Held, removeTenant } from '../placements/removal.ts'
import { type Plans, requirePlace } from '../placements/reserve.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { beginRemoval } from './delete.ts'
import { withTenantLocked } from './locked.ts'
import { settle } from './states.ts'

/** What a sweep has done. */
export interface SweepReport {
  /** Tenants whose creation, suspension, resumption or archiving is finished now. */
  readonly settled: number
  /** Tenants whose deletion is finished now, and those that could not be made. */
  readonly removed: number
  /** Tenants that the next sweep will try again. */
  readonly failed: readonly { readonly slug: string; readonly error: unknown }[]
}

/**
 * Finishes what was interrupted, for every tenant whose place has yet to follow its state. What another process is
 * busy with is waited for. One tenant that fails is no reason to leave out the others.
 */
export async function sweepTenants(
  workshop: Workshop,
  plans: Plans,
  seed: (tenantId: string) => Promise<void>,
): Promise<SweepReport> {
  const report = { settled: 0, removed: 0, failed: [] as { slug: string; error: unknown }[] }
  let after: string | null = null
  do {
    const page: Tenant[] = await listUnsettled(workshop.catalog.db, after, limits.tenantsPerPageMax)
    for (const { id, slug } of page) {
      try {
        report[await sweepOne(workshop, plans, id, seed)] += 1
      } catch (error) {
        const gone = (await findTenant(workshop.catalog.db, { id })) === null
        if (gone) report.removed += 1
        report.failed.push(...(gone ? [] : [{ slug, error }]))
      }
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.id ?? null) : null
  } while (after !== null)
  return report
}

/**
 * The sweep of a process that starts. Where nothing is installed yet nothing can have been interrupted. A tenant that
 * cannot be finished is no reason not to start: it is named in a warning, and the next sweep tries again.
 */
export async function sweepAtStart(sweep: () => Promise<SweepReport>): Promise<void> {
  const report = await sweep().catch((error: unknown) => {
    if (error instanceof QuickScaleError && error.code === 'NOT_INSTALLED') return null
    throw error
  })
  if (report === null || report.failed.length === 0) return
  const slugs = report.failed.map(({ slug }) => slug)
  process.emitWarning(`What was interrupted could not be finished for ${slugs.length} tenants.`, {
    code: 'QUICKSCALE_SWEEP_INCOMPLETE',
    detail: `Call tenancy.tenants.sweep() to see why: ${slugs.slice(0, slugsNamed).join(', ')}`,
  })
}

const slugsNamed = 10

async function sweepOne(
  workshop: Workshop,
  plans: Plans,
  id: string,
  seed: (tenantId: string) => Promise<void>,
): Promise<'settled' | 'removed'> {
  return await withTenantLocked(workshop, id, { apart: true }, (tenant, held) =>
    finish(held, plans, tenant, seed),
  )
}

async function finish(
  held: Held,
  plans: Plans,
  tenant: Tenant,
  seed: (tenantId: string) => Promise<void>,
): Promise<'settled' | 'removed'> {
  switch (tenant.state) {
    case 'provisioning': {
      const { strategy, place } = await requirePlace(held.workshop, plans, tenant)
      await finishProvisioning({ ...held, strategy }, tenant, place, seed)
      return 'settled'
    }
    case 'deleting': {
      const { attempt, place } = await beginRemoval(held, plans, tenant)
      await removeTenant(attempt, tenant, place)
      return 'removed'
    }
    case 'deleted':
      return 'removed'
    default:
      if (!tenant.settled) await settle(held.workshop, tenant, tenant.state)
      return 'settled'
  }
}
