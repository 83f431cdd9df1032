import { type NewMember, parseMember } from '../catalog/members.ts'
import { beginChoice, recordTenant } from '../catalog/reservations.ts'
import { activateTenant, claimForRemoval } from '../catalog/tenant-states.ts'
import { findTenant, parseName, parseSlug, parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import type { PlacementRules } from '../server-config.ts'
import type { Place, Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { assertBringable, type BroughtDatabase, isOffered, replaceUrl, takeBrought } from './bring.ts'
import { openFence } from './fence.ts'
import { handlers } from './handlers.ts'
import { migrationLock } from './install.ts'
import { repeatAfterLostRace } from './lost-race.ts'
import { examineOffer } from './offer.ts'
import { type Attempt, type Held, removeTenant, tenantLock } from './removal.ts'
import { choose, findPlace, type Placed, type Plans, planOf, requirePlace, wishOf } from './reserve.ts'
import { wantedShape } from './shape.ts'

/** A customer to be. */
export interface NewTenant {
  /** Unique; a-z, 0-9 and inner hyphens. */
  readonly slug: string
  readonly name: string
  /** One of the configured plans; decides the strategy. */
  readonly plan: string
  /** Key of the tenant this one is a sub-account of. */
  readonly parent?: string
  /** uuid, lower case; no warm database can be claimed for it. @defaultValue a random one */
  readonly id?: string
  /** Name of the server it is pinned to; the only way to a private one, unless the plan is pinned to it. @defaultValue chosen */
  readonly server?: string
  /** The region its data must stay in. @defaultValue any */
  readonly region?: string
  /** Its first members, recorded together with it. @defaultValue none */
  readonly members?: readonly NewMember[]
  /** A database of the customer's own to live in; the plan's strategy must be `database`. @defaultValue one is made */
  readonly database?: BroughtDatabase
}

/**
 * Makes a tenant: record it, make its place, open the fence, seed, activate. Each step finds what an interrupted
 * attempt has left and goes on from there; a step that fails takes the tenant away again.
 *
 * @param onRecorded called when the tenant is in the catalog, and its place is still to be made
 * @throws QuickScaleError `TENANT_EXISTS`, `TENANT_KEY_INVALID`, `TENANT_INVALID`, `PLAN_UNKNOWN`, `TENANT_NOT_FOUND`
 *   (parent), `PLACEMENT_REFUSED`, `MEMBER_INVALID`, `LOCK_LOST`; for a brought database also what {@link examineOffer} throws
 */
export async function provisionTenant(
  workshop: Workshop,
  plans: Plans,
  wanted: NewTenant,
  seed: (tenantId: string) => Promise<void>,
  onRecorded: (tenant: Tenant) => void = () => undefined,
): Promise<Tenant> {
  planOf(plans, wanted.plan)
  // Beside other provisioning, but not beside a migration, which would miss a place in the making.
  const names = { shared: migrationLock, exclusive: tenantLock(parseSlug(wanted.slug)) }
  return await workshop.catalog.locked(names, async (assertHeld, underLock) => {
    const held = { workshop, assertHeld, underLock }
    const { tenant, strategy, place, warm } = await recordAnew(held, plans, wanted)
    onRecorded(tenant)
    return await finishProvisioning({ ...held, strategy }, tenant, place, seed, warm)
  })
}

interface Recorded extends Placed {
  readonly tenant: Tenant
  /** The place is finished: it was waiting for a tenant. */
  readonly warm: boolean
}

/** A tenant that an earlier attempt failed to take away is taken away first. */
async function recordAnew(held: Held, plans: Plans, wanted: NewTenant): Promise<Recorded> {
  const known = await record(held, plans, wanted)
  if (known.tenant.state !== 'deleting') return known
  await removeTenant({ ...held, strategy: known.strategy }, known.tenant, known.place)
  return await record(held, plans, wanted)
}

/**
 * Makes the place of a tenant that is recorded, from wherever an earlier attempt has stopped, and activates it; takes
 * everything away again when a step fails.
 *
 * @param warm the place was finished before its tenant came
 */
export async function finishProvisioning(
  attempt: Attempt,
  tenant: Tenant,
  place: Place,
  seed: (tenantId: string) => Promise<void>,
  warm = false,
): Promise<Tenant> {
  const { workshop, strategy, underLock } = attempt
  try {
    if (!warm) await makePlace(attempt, tenant, place)
    await seed(tenant.id)
  } catch (error) {
    await withdraw(attempt, tenant, place, error)
    throw error
  }
  const { server, name: database } = place.database
  const details = { slug: tenant.slug, plan: tenant.plan, strategy, server, database }
  return await activateTenant(workshop.catalog, underLock, tenant.id, details)
}

async function makePlace(
  { workshop, strategy, assertHeld }: Attempt,
  { id }: Tenant,
  place: Place,
): Promise<void> {
  const placement = { tenantId: id, epoch: 1, schemaName: place.schemaName }
  await repeatAfterLostRace(() =>
    handlers[strategy].build(workshop, id, place, async (client) => {
      await assertHeld()
      await openFence(client, placement)
    }),
  )
}

/** Records the tenant together with its place, or neither; finds what an earlier attempt has recorded. */
async function record(held: Held, plans: Plans, wanted: NewTenant): Promise<Recorded> {
  const { workshop, underLock } = held
  const { plan, id = crypto.randomUUID() } = wanted
  const name = parseName(wanted.name)
  if (!('id' in parseTenantKey(id))) throw new QuickScaleError('TENANT_INVALID', { field: 'id' })
  const slug = parseSlug(wanted.slug)
  const rules = readRules(wanted)
  const parentId = await parentOf(workshop, wanted)
  const members = (wanted.members ?? []).map(parseMember)
  const wish = wishOf(planOf(plans, plan), rules)
  const { database: brought } = wanted
  if (brought !== undefined) assertBringable(wish, brought ?? { url: '' })
  const waiting = wish.strategy === 'database' && wanted.id === undefined && brought === undefined
  const shape = waiting ? { shape: await wantedShape(workshop) } : {}
  // Nobody waits for a choice while a customer's server is looked at.
  const { known, supply } =
    brought === undefined
      ? await beginChoice(underLock, wish.strategy, slug)
      : { known: await findTenant(workshop.catalog.db, { slug }), supply: null }
  if (known !== null) return await findRecorded(workshop, plans, known, { ...wanted, ...rules })
  const chosen =
    supply === null
      ? await takeBrought(workshop, id, await examineOffer(workshop, brought?.url, null))
      : { ...choose(workshop, supply, { tenantId: id, wish }), ...shape }
  const region = rules.region ?? null
  const recorded = await recordTenant(underLock, { id, slug, name, plan, parentId, region, members }, chosen)
  const { tenant, database, warm } = recorded
  return { tenant, strategy: wish.strategy, place: { database, schemaName: chosen.schema }, warm }
}

/** What an earlier attempt at the same tenant has recorded. @throws QuickScaleError `TENANT_EXISTS` for another one */
async function findRecorded(
  workshop: Workshop,
  plans: Plans,
  tenant: Tenant,
  { plan, server, region, database }: PlacementRules & Pick<NewTenant, 'plan' | 'database'>,
): Promise<Recorded> {
  const placed = await requirePlace(workshop, plans, tenant)
  const same = tenant.plan === plan && tenant.region === (region ?? null)
  const here = server === undefined || placed.place.database.server === server
  const exists = new QuickScaleError('TENANT_EXISTS', { key: tenant.slug })
  const own = placed.place.database.brought
  if (tenant.state === 'deleting') return { tenant, ...placed, warm: false }
  if (tenant.state !== 'provisioning' || !same || !here || own !== (database !== undefined)) throw exists
  if (database !== undefined) {
    const offer = await examineOffer(workshop, database.url, tenant.id)
    if (!(await isOffered(workshop, placed.place, offer))) throw exists
    await replaceUrl(workshop, tenant.id, offer)
  }
  return { tenant, ...placed, warm: false }
}

/** @throws QuickScaleError `TENANT_INVALID` */
function readRules({ server, region }: NewTenant): PlacementRules {
  for (const [field, value] of Object.entries({ server, region })) {
    const usable = value === undefined || (typeof value === 'string' && value.length <= 63 && value !== '')
    if (!usable) throw new QuickScaleError('TENANT_INVALID', { field })
  }
  return { server, region }
}

async function parentOf(workshop: Workshop, wanted: NewTenant): Promise<string | null> {
  if (wanted.parent === undefined) return null
  const parent = await findTenant(workshop.catalog.db, parseTenantKey(wanted.parent))
  if (parent === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: wanted.parent })
  return parent.id
}

/** Takes away what was made, unless another process has gone on with it, and finished, since the lock was lost. */
async function withdraw(attempt: Attempt, tenant: Tenant, place: Place, reason: unknown): Promise<void> {
  await attempt.assertHeld(reason)
  try {
    if (!(await claimForRemoval(attempt.workshop.catalog.db, tenant.id))) return
    const known = await findPlace(attempt.workshop.catalog.db, tenant.id)
    await removeTenant(attempt, tenant, known?.place ?? place)
  } catch (cause) {
    if (cause instanceof QuickScaleError && cause.code === 'LOCK_LOST') throw cause
    // The tenant stays as it is; creating it again finishes the removal, or resumes.
    throw new AggregateError(
      [reason, cause],
      `tenant ${tenant.slug} could not be made, nor be taken away again`,
    )
  }
}
