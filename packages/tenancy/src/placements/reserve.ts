import type { Kysely } from 'kysely'
import { countSilos, listSharedDatabases, lockChoice, type SharedDatabase } from '../catalog/candidates.ts'
import { findRoute, insertPlacement, registerDatabase } from '../catalog/places.ts'
import type { CatalogTables } from '../catalog/tables.ts'
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

/**
 * Chooses the place of a new tenant and records it, in the caller's transaction; nothing is made there yet.
 *
 * @throws QuickScaleError `PLACEMENT_REFUSED`, `NOT_INSTALLED`
 */
export async function reservePlace(
  workshop: Workshop,
  transaction: Database,
  tenant: Pick<Tenant, 'id'>,
  wish: Wish,
): Promise<Place> {
  const { strategy } = wish
  await lockChoice(transaction)
  const shared = strategy === 'database' ? [] : await listSharedDatabases(transaction)
  const silos = strategy === 'database' ? await countSilos(transaction) : new Map<string, number>()
  const choice = choosePlace(candidatesOf(workshop, shared, silos), wish)
  const known = shared.find(({ record }) => record.id === choice.sharedDatabaseId)
  const names = installationNames(workshop.installation)
  const name =
    strategy === 'database'
      ? names.silo(tenant.id)
      : names.furtherShared(shared.filter(({ record }) => record.server === choice.server).length + 1)
  const database =
    known?.record ??
    (await registerDatabase(transaction, {
      serverName: choice.server,
      name,
      kind: strategy === 'database' ? 'silo' : 'shared',
      loginRole: name,
    }))
  const schemaName = placeSchema(strategy, tenant.id)
  await insertPlacement(transaction, { tenantId: tenant.id, strategy, databaseId: database.id, schemaName })
  return { database, schemaName }
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
  const place = await workshop.catalog.db
    .transaction()
    .execute((transaction) => reservePlace(workshop, transaction, tenant, wish))
  return { strategy: wish.strategy, place }
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
