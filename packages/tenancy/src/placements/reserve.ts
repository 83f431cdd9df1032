import type { Kysely } from 'kysely'
import { countSilos, listSharedDatabases, lockChoice, type SharedDatabase } from '../catalog/candidates.ts'
import { type DatabaseRecord, findRoute, insertPlacement, registerDatabase } from '../catalog/places.ts'
import type { CatalogTables } from '../catalog/tables.ts'
import { claimWarmDatabase } from '../catalog/warm-databases.ts'
import type { ResolvedConfig } from '../config.ts'
import { QuickScaleError } from '../errors.ts'
import type { PlacementRules } from '../server-config.ts'
import { installationNames, type Place, placeSchema, type Workshop } from '../strategies/strategy.ts'
import type { Strategy, Tenant } from '../tenant.ts'
import { type Candidate, choosePlace, type Wish } from './choose.ts'

/** The plans of the configuration. */
export type Plans = ResolvedConfig['plans']

type Database = Kysely<CatalogTables>

/** @throws QuickScaleError `PLAN_UNKNOWN` */
export function planOf(plans: Plans, plan: string): Plans[string] {
  const found = Object.hasOwn(plans, plan) ? plans[plan] : undefined
  if (found === undefined) {
    throw new QuickScaleError('PLAN_UNKNOWN', { plan, known: Object.keys(plans).join(', ') })
  }
  return found
}

/** What a plan and a tenant's own rules together ask of a place. */
export function wishOf(plan: Plans[string], own: PlacementRules): Wish {
  const rules = [plan.placement ?? {}, own]
  return {
    strategy: plan.strategy,
    servers: rules.flatMap(({ server }) => server ?? []),
    regions: rules.flatMap(({ region }) => region ?? []),
    labels: rules.flatMap(({ labels }) => labels ?? []),
  }
}

/** A place, and how its tenants are kept apart. */
export interface Placed {
  readonly strategy: Strategy
  readonly place: Place
}

/** The place that the catalog has for a tenant, if any. */
export async function findPlace(db: Database, tenantId: string): Promise<Placed | null> {
  const record = await findRoute(db, { id: tenantId })
  if (record === null) return null
  const { database, placement } = record
  return { strategy: placement.strategy, place: { database, schemaName: placement.schemaName } }
}

/** A place that was chosen; its placement is recorded next, in the same transaction. */
export interface Reservation {
  readonly tenantId: string
  readonly place: Place
  /** It was waiting: nothing has to be made. */
  readonly warm: boolean
}

/**
 * Chooses the place of a new tenant, and registers its database, in the caller's transaction; nothing is made there yet.
 *
 * @param tenantId null when the tenant may get the id that a warm database was made for
 * @param shape of the warm databases that are as good as new ones
 * @param avoid where the tenant lives already under the same strategy: it is to go elsewhere
 * @throws QuickScaleError `PLACEMENT_REFUSED`, `NOT_INSTALLED`
 */
export async function reservePlace(
  workshop: Workshop,
  transaction: Database,
  { tenantId, shape, wish, avoid = null }: ReservationWish,
): Promise<Reservation> {
  await lockChoice(transaction)
  return wish.strategy === 'database'
    ? await reserveSilo(workshop, transaction, { tenantId, shape, wish, avoid })
    : await reserveShared(workshop, transaction, tenantId ?? crypto.randomUUID(), { wish, avoid })
}

interface ReservationWish {
  readonly tenantId: string | null
  readonly shape: string
  readonly wish: Wish
  readonly avoid?: DatabaseRecord | null
}

async function reserveSilo(
  workshop: Workshop,
  transaction: Database,
  { tenantId, shape, wish, avoid }: ReservationWish,
): Promise<Reservation> {
  const silos = await countSilos(transaction)
  const candidates = candidatesOf(workshop, [], silos).filter(
    (candidate) => candidate.server !== avoid?.server,
  )
  const { server } = choosePlace(candidates, wish)
  if (tenantId === null) {
    const claim = await claimWarmDatabase(transaction, server, shape)
    if (claim !== null) {
      return { tenantId: claim.tenantId, place: { database: claim.database, schemaName: 'app' }, warm: true }
    }
  }
  const id = tenantId ?? crypto.randomUUID()
  const name = installationNames(workshop.installation).silo(id)
  const database = await registerDatabase(transaction, {
    serverName: server,
    name,
    kind: 'silo',
    loginRole: name,
  })
  return { tenantId: id, place: { database, schemaName: 'app' }, warm: false }
}

async function reserveShared(
  workshop: Workshop,
  transaction: Database,
  tenantId: string,
  { wish, avoid }: Pick<ReservationWish, 'wish' | 'avoid'>,
): Promise<Reservation> {
  const shared = await listSharedDatabases(transaction)
  const open = shared.filter(({ record }) => record.id !== avoid?.id)
  const choice = choosePlace(candidatesOf(workshop, open, new Map()), wish)
  const known = shared.find(({ record }) => record.id === choice.sharedDatabaseId)
  const number = shared.filter(({ record }) => record.server === choice.server).length + 1
  const name = installationNames(workshop.installation).furtherShared(number)
  const database =
    known?.record ??
    (await registerDatabase(transaction, {
      serverName: choice.server,
      name,
      kind: 'shared',
      loginRole: name,
    }))
  return { tenantId, place: { database, schemaName: placeSchema(wish.strategy, tenantId) }, warm: false }
}

/** Records where a tenant is to live; it is recorded itself already. */
async function recordPlacement(
  transaction: Database,
  strategy: Strategy,
  { tenantId, place }: Reservation,
): Promise<void> {
  const { database, schemaName } = place
  await insertPlacement(transaction, { tenantId, strategy, databaseId: database.id, schemaName })
}

/**
 * The place of a tenant that is in the making or on its way out.
 *
 * @throws QuickScaleError `PLAN_UNKNOWN`, `PLACEMENT_REFUSED`, if the catalog has lost it
 */
export async function requirePlace(workshop: Workshop, plans: Plans, tenant: Tenant): Promise<Placed> {
  const known = await findPlace(workshop.catalog.db, tenant.id)
  if (known !== null) return known
  const wish = wishOf(planOf(plans, tenant.plan), { region: tenant.region ?? undefined })
  return await workshop.catalog.db.transaction().execute(async (transaction) => {
    const reservation = await reservePlace(workshop, transaction, { tenantId: tenant.id, shape: '', wish })
    await recordPlacement(transaction, wish.strategy, reservation)
    return { strategy: wish.strategy, place: reservation.place }
  })
}

function candidatesOf(
  { servers }: Workshop,
  shared: readonly SharedDatabase[],
  silos: ReadonlyMap<string, number>,
): Candidate[] {
  return servers.all.map(({ name, traits }) => ({
    server: name,
    ...traits,
    silos: silos.get(name) ?? 0,
    shared: shared
      .filter(({ record }) => record.server === name)
      .map(({ record, rowTenants, schemaTenants }) => ({ id: record.id, rowTenants, schemaTenants })),
  }))
}
