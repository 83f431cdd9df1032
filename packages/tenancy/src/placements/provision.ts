import type { LockNames, Question } from '../catalog/locks.ts'
import {
  askChoice,
  type Choice,
  type ChoiceRow,
  type Chosen,
  recordTenant,
  type Supply,
  toChoice,
} from '../catalog/reservations.ts'
import { activateTenant, claimForRemoval } from '../catalog/tenant-states.ts'
import { findTenant } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import type { Place, Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { isOffered, replaceUrl, takeBrought } from './bring.ts'
import { openingOf } from './fence.ts'
import { handlers } from './handlers.ts'
import { migrationLock } from './install.ts'
import { repeatAfterLostRace } from './lost-race.ts'
import { examineOffer } from './offer.ts'
import { type NewTenant, type Order, readOrder } from './order.ts'
import { type Attempt, type Held, removeTenant, tenantLock } from './removal.ts'
import { choose, findPlace, type Placed, type Plans, requirePlace } from './reserve.ts'

/**
 * Makes a tenant: record it, make its place, open the fence, seed, activate. Each step finds what an interrupted
 * attempt has left and goes on from there; a step that fails takes the tenant away again.
 *
 * @param onRecorded called when the tenant is in the catalog, and its place is still to be made
 * @throws QuickScaleError `TENANT_EXISTS`, `TENANT_KEY_INVALID`, `TENANT_INVALID`, `PLAN_UNKNOWN`, `TENANT_NOT_FOUND`
 *   and `TENANT_DELETED` (the parent), `PLACEMENT_REFUSED`, `MEMBER_INVALID`, `LOCK_LOST`; for a brought database also what {@link examineOffer} throws
 */
export async function provisionTenant(
  workshop: Workshop,
  plans: Plans,
  wanted: NewTenant,
  seed: (tenantId: string) => Promise<void>,
  onRecorded: (tenant: Tenant) => void = () => undefined,
): Promise<Tenant> {
  const order = await readOrder(workshop, plans, wanted)
  const onLocked = async (choice: Choice | null, held: Held) => {
    const { tenant, strategy, place, made } = await recordAnew(held, plans, order, choice)
    onRecorded(tenant)
    return await finishProvisioning({ ...held, strategy }, tenant, place, seed, made)
  }
  const { catalog } = workshop
  // Nobody waits for a choice while a customer's server is looked at.
  if (order.database !== undefined) {
    return await catalog.locked(locksOf(order), (assertHeld, underLock) =>
      onLocked(null, { workshop, assertHeld, underLock }),
    )
  }
  return await catalog.lockedAsking<ChoiceRow, Tenant>(questionOf(order), (row, assertHeld, underLock) =>
    onLocked(toChoice(row), { workshop, assertHeld, underLock }),
  )
}

/** Beside other provisioning, but not beside a migration, which would miss a place in the making. */
function locksOf({ slug }: Order): Required<LockNames> {
  return { shared: migrationLock, exclusive: tenantLock(slug) }
}

function questionOf(order: Order): Question {
  return askChoice(locksOf(order), order.slug, order.wish.strategy)
}

interface Recorded extends Placed {
  readonly tenant: Tenant
  /** Its place, where that is in the making already, or was waiting for a tenant. */
  readonly made?: Promise<void>
}

/** A tenant that an earlier attempt failed to take away is taken away first. */
async function recordAnew(held: Held, plans: Plans, order: Order, choice: Choice | null): Promise<Recorded> {
  const known = await record(held, plans, order, choice)
  if (known.tenant.state !== 'deleting') return known
  await removeTenant({ ...held, strategy: known.strategy }, known.tenant, known.place)
  if (choice === null) return await record(held, plans, order, null)
  const { text, values } = questionOf(order)
  const [row] = await held.underLock<ChoiceRow>(text, [...values])
  return await record(held, plans, order, toChoice(row))
}

/**
 * Makes the place of a tenant that is recorded, from wherever an earlier attempt has stopped, and activates it; takes
 * everything away again when a step fails.
 *
 * @param made the place, when somebody makes it already
 */
export async function finishProvisioning(
  attempt: Attempt,
  tenant: Tenant,
  place: Place,
  seed: (tenantId: string) => Promise<void>,
  made?: Promise<void>,
): Promise<Tenant> {
  const { workshop, strategy, underLock } = attempt
  try {
    await (made ?? makePlace(attempt, tenant.id, place))
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
  tenantId: string,
  place: Place,
  recorded?: Promise<unknown>,
): Promise<void> {
  const opening = openingOf(tenantId, place, async () => {
    await recorded
    await assertHeld()
  })
  await repeatAfterLostRace(() => handlers[strategy].build(workshop, tenantId, place, opening))
}

/**
 * Records the tenant together with its place, or neither; finds what an earlier attempt has recorded.
 *
 * @param choice null for a brought database, which is none
 */
async function record(held: Held, plans: Plans, order: Order, choice: Choice | null): Promise<Recorded> {
  const { workshop } = held
  const { id, slug, wish, database: brought, shape } = order
  const known = choice === null ? await findTenant(workshop.catalog.db, { slug }) : choice.known
  if (known !== null) return await findRecorded(workshop, plans, known, order)
  const chosen =
    choice === null
      ? await takeBrought(workshop, id, await examineOffer(workshop, brought?.url, null))
      : { ...choose(workshop, choice.supply, { tenantId: id, wish }), ...(shape !== undefined && { shape }) }
  return await recordChosen(held, order, chosen, choice?.supply.shared)
}

/** In a shared database the place is begun beside the record: it appears when that is there, or not at all. */
async function recordChosen(
  held: Held,
  { id, slug, name, plan, parentId, region, members, wish: { strategy } }: Order,
  chosen: Chosen,
  known: Supply['shared'] = [],
): Promise<Recorded> {
  const recording = recordTenant(held.underLock, { id, slug, name, plan, parentId, region, members }, chosen)
  const home = known.find(
    ({ record }) => record.server === chosen.server && record.name === chosen.database,
  )?.record
  const begun =
    home?.ready === true
      ? makePlace({ ...held, strategy }, id, { database: home, schemaName: chosen.schema }, recording)
      : undefined
  // Whoever waits for it is told of its failure.
  const ended = begun?.catch(() => undefined)
  const { tenant, database, warm } = await recording.catch(async (error: unknown) => {
    await ended
    throw error
  })
  const made = warm ? Promise.resolve() : begun
  return { tenant, strategy, place: { database, schemaName: chosen.schema }, ...(made && { made }) }
}

/** What an earlier attempt at the same tenant has recorded. @throws QuickScaleError `TENANT_EXISTS` for another one */
async function findRecorded(
  workshop: Workshop,
  plans: Plans,
  tenant: Tenant,
  { plan, server, region, database }: Order,
): Promise<Recorded> {
  const placed = await requirePlace(workshop, plans, tenant)
  const same = tenant.plan === plan && tenant.region === region
  const here = server === undefined || placed.place.database.server === server
  const exists = new QuickScaleError('TENANT_EXISTS', { key: tenant.slug })
  const own = placed.place.database.brought
  if (tenant.state === 'deleting') return { tenant, ...placed }
  if (tenant.state !== 'provisioning' || !same || !here || own !== (database !== undefined)) throw exists
  if (database !== undefined) {
    const offer = await examineOffer(workshop, database.url, tenant.id)
    if (!(await isOffered(workshop, placed.place, offer))) throw exists
    await replaceUrl(workshop, tenant.id, offer)
  }
  return { tenant, ...placed }
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
