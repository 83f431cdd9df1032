import { recordAudit } from '../catalog/audit.ts'
import { findRoute, type RouteRecord } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { type BroughtDatabase, replaceUrl } from '../placements/bring.ts'
import { examineOffer, type Offer } from '../placements/offer.ts'
import { createAdministrator } from '../strategies/administrator.ts'
import { readClaim } from '../strategies/brought.ts'
import { buildDatabase } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { refusalOf, type Tenant } from '../tenant.ts'
import { withTenantLocked } from './locked.ts'
import { settle } from './states.ts'

// The customer has another password, another host, or has restored the database elsewhere:
//
//   1  look     what the URL leads to is fit, claimed by this tenant, and its fence is of the tenant's epoch
//   2  catalog  the URL, a line in the audit log; logins beside the application's own are forgotten, and made when needed
//   3  place    objects, keys and a login with a new password: a restored server knows no role
//   4  settle   the fence follows the tenant's state, and with it the login's right on the tables
//
// Whoever is interrupted in between repeats the call.

/**
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_INVALID` when the tenant has brought no database,
 *   `TENANT_PROVISIONING`, `TENANT_DELETED`, and what a creation with a brought database throws
 */
export async function reconnectTenant(
  workshop: Workshop,
  key: string,
  { url }: BroughtDatabase,
): Promise<Tenant> {
  return await withTenantLocked(workshop, key, { apart: true }, async (tenant) => {
    const { state } = tenant
    if (state === 'provisioning' || state === 'deleting' || state === 'deleted') {
      throw new QuickScaleError(refusalOf[state], { key })
    }
    const route = await findRoute(workshop.catalog.db, { id: tenant.id })
    if (route?.database.brought !== true) throw new QuickScaleError('TENANT_INVALID', { field: 'database' })
    const offer = await examineOffer(workshop, url, tenant.id)
    await assertHome(offer, route)
    await record(workshop, tenant, route, offer)
    await rebuildLogin(workshop, tenant.id)
    return await settle(workshop, tenant, state)
  })
}

/** Whoever reaches another database, or an old backup, would lose what was written since. */
async function assertHome({ url, databaseName }: Offer, { tenantId, placement }: RouteRecord): Promise<void> {
  const found = await createAdministrator(url).connected(databaseName, async (client) => {
    if ((await readClaim(client))?.tenant !== tenantId) return null
    const { rows } = await client.query<{ epoch: number }>(
      'select epoch from quickscale.placement where tenant_id = $1',
      [tenantId],
    )
    return rows[0] ?? null
  })
  if (found?.epoch === placement.epoch) return
  const reason =
    found === null
      ? 'it does not hold this tenant'
      : `it holds this tenant at epoch ${found.epoch}, and epoch ${placement.epoch} is the one that counts`
  throw new QuickScaleError('DATABASE_UNSUITABLE', { reason })
}

async function record(
  workshop: Workshop,
  tenant: Tenant,
  { database }: RouteRecord,
  offer: Offer,
): Promise<void> {
  const { db } = workshop.catalog
  await replaceUrl(workshop, tenant.id, offer)
  await db.deleteFrom('login').where('database_id', '=', database.id).execute()
  const details = { from: `${database.host}:${database.port}`, to: `${offer.host}:${offer.port}` }
  await recordAudit(db, { action: 'tenant.reconnected', tenantId: tenant.id, details })
}

async function rebuildLogin(workshop: Workshop, tenantId: string): Promise<void> {
  const route = await findRoute(workshop.catalog.db, { id: tenantId })
  if (route === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenantId })
  await buildDatabase(workshop, { ...route.database, ready: false }, async () => undefined)
}
