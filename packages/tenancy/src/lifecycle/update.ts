import type { Kysely } from 'kysely'
import { assertKeys } from '../arguments.ts'
import { recordAudit } from '../catalog/audit.ts'
import type { CatalogTables } from '../catalog/tables.ts'
import {
  findParent,
  holdTree,
  isWithin,
  parseName,
  parseSlug,
  type TenantChanges,
  updateTenant,
} from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { findExclusion } from '../placements/choose.ts'
import { findPlace, type Plans, planOf, wishOf } from '../placements/reserve.ts'
import { broughtServerTraits } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { refusalOf, type Tenant } from '../tenant.ts'
import { withTenantLocked } from './locked.ts'

/** What of a tenant can be changed without moving it. What is left out stays. */
export interface TenantUpdate {
  readonly name?: string
  /** A plan of the strategy the tenant lives under, whose rules allow the server it is on. */
  readonly plan?: string
  /** Key of the tenant this one becomes a sub-account of, unless somebody had more than 20 above them then; null for none. */
  readonly parent?: string | null
}

/** A tenant's names. What is left out stays. */
export interface TenantNames {
  readonly slug?: string
  readonly name?: string
}

/**
 * @throws QuickScaleError `TENANT_NOT_FOUND` (tenant or parent), `TENANT_INVALID`, `PLAN_UNKNOWN`, `PLAN_NEEDS_MOVE`,
 *   `TENANT_DELETED`
 */
export async function updateDetails(
  workshop: Workshop,
  plans: Plans,
  key: string,
  wanted: TenantUpdate,
): Promise<Tenant> {
  assertKeys('changes', wanted, ['name', 'plan', 'parent'] satisfies (keyof TenantUpdate)[])
  return await change(workshop, key, 'tenant.updated', async (tenant) => ({
    ...readName(wanted.name),
    ...(await readPlan(workshop, plans, tenant, wanted.plan)),
    ...(await readParent(workshop, tenant, wanted.parent)),
  }))
}

/**
 * Changes the slug, the name or both; the tenant stays where it is. Handles by uuid notice nothing. A process that is cut
 * off from the catalog may find the tenant under the old slug, so nobody else may have that while the tenant lives.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_INVALID`, `TENANT_EXISTS`, `SLUG_RESTING`,
 *   `TENANT_DELETED`
 */
export async function renameTenant(workshop: Workshop, key: string, wanted: TenantNames): Promise<Tenant> {
  assertKeys('names', wanted, ['slug', 'name'] satisfies (keyof TenantNames)[])
  const slug = wanted.slug === undefined ? {} : { slug: parseSlug(wanted.slug) }
  return await change(workshop, key, 'tenant.renamed', async () => ({ ...slug, ...readName(wanted.name) }))
}

async function change(
  workshop: Workshop,
  key: string,
  action: string,
  read: (tenant: Tenant) => Promise<TenantChanges>,
): Promise<Tenant> {
  return await withTenantLocked(workshop, key, { apart: false }, async (tenant) => {
    if (tenant.state === 'deleting' || tenant.state === 'deleted') {
      throw new QuickScaleError(refusalOf[tenant.state], { key })
    }
    const changes = differences(tenant, await read(tenant))
    if (Object.keys(changes).length === 0) return tenant
    return await workshop.catalog.db.transaction().execute(async (db) => {
      if (changes.parentId != null) {
        await holdTree(db)
        await assertNotWithin(db, changes.parentId, tenant.id)
      }
      const updated = await updateTenant(db, tenant.id, changes)
      const before = { slug: tenant.slug, name: tenant.name, plan: tenant.plan, parentId: tenant.parentId }
      await recordAudit(db, { action, tenantId: tenant.id, details: { before, changes } })
      return updated
    })
  })
}

/** A call that is repeated changes nothing, and writes nothing down. */
function differences(tenant: Tenant, wanted: TenantChanges): TenantChanges {
  return Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => tenant[field as keyof TenantChanges] !== value),
  )
}

function readName(name: string | undefined): TenantChanges {
  return name === undefined ? {} : { name: parseName(name) }
}

async function readPlan(
  workshop: Workshop,
  plans: Plans,
  tenant: Tenant,
  plan: string | undefined,
): Promise<TenantChanges> {
  if (plan === undefined) return {}
  const wanted = planOf(plans, plan)
  const placed = await findPlace(workshop.catalog.db, tenant.id)
  const strategy = placed?.strategy ?? planOf(plans, tenant.plan).strategy
  const refuse = (means: string) =>
    new QuickScaleError('PLAN_NEEDS_MOVE', { key: tenant.slug, plan, strategy, wanted: means })
  if (strategy !== wanted.strategy) throw refuse(wanted.strategy)
  if (placed === null) return { plan }
  const { database } = placed.place
  const { name, traits } = database.brought
    ? { name: database.server, traits: broughtTraits(tenant) }
    : await workshop.servers.of(database.server)
  const wish = wishOf(wanted, { server: name })
  const exclusion = findExclusion({ server: name, ...traits, shared: [], silos: 0 }, wish)
  if (exclusion !== null) throw refuse(`another server: ${name} ${exclusion.reason}`)
  return { plan }
}

/** A brought database is where its tenant says. */
function broughtTraits({ region }: Tenant) {
  return { ...broughtServerTraits, region: region ?? undefined }
}

async function readParent(
  workshop: Workshop,
  tenant: Tenant,
  parent: string | null | undefined,
): Promise<TenantChanges> {
  if (parent === undefined) return {}
  if (parent === null) return { parentId: null }
  const { db } = workshop.catalog
  const parentId = await findParent(db, parent)
  await assertNotWithin(db, parentId, tenant.id)
  return { parentId }
}

async function assertNotWithin(db: Kysely<CatalogTables>, parentId: string, tenantId: string): Promise<void> {
  if (await isWithin(db, parentId, tenantId)) throw new QuickScaleError('TENANT_INVALID', { field: 'parent' })
}
