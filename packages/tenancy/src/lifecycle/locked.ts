import { findTenant, parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { migrationLock } from '../placements/install.ts'
import { type Held, tenantLock } from '../placements/removal.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'

/**
 * Runs `work` while nobody else makes, changes or removes the tenant, with the tenant as it is then.
 *
 * @param apart also not beside a migration, which would trip over a place that goes. Closing a tenant does not wait
 *   for one: it may take hours.
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_UNREACHABLE`
 */
export async function withTenantLocked<T>(
  workshop: Workshop,
  key: string,
  { apart }: { apart: boolean },
  work: (tenant: Tenant, held: Held) => Promise<T>,
): Promise<T> {
  const { catalog } = workshop
  const tenantKey = parseTenantKey(key)
  const find = async (wanted: typeof tenantKey) => {
    const tenant = await findTenant(catalog.db, wanted)
    if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
    return tenant
  }
  for (let attempt = 1; attempt <= limits.attemptsMax; attempt += 1) {
    const { id, slug } = await find(tenantKey)
    const names = { exclusive: tenantLock(slug), ...(apart ? { shared: migrationLock } : {}) }
    const outcome = await catalog.locked(names, async (assertHeld, underLock) => {
      const tenant = await find({ id })
      // Renamed while we waited: the lock of its other name is the one that counts.
      return tenant.slug === slug ? { result: await work(tenant, { workshop, assertHeld, underLock }) } : null
    })
    if (outcome !== null) return outcome.result
  }
  throw new QuickScaleError('TENANT_UNREACHABLE', { key, reason: 'it kept being renamed' })
}
