import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type DatabaseRecord, findRoute, insertPlacement, registerDatabase } from '../catalog/places.ts'
import { type Chosen, listSupply, lockChoice, type Supply } from '../catalog/reservations.ts'
import type { CatalogTables } from '../catalog/tables.ts'
import type { ResolvedConfig } from '../config.ts'
import { QuickScaleError } from '../errors.ts'
import type { PlacementRules } from '../server-config.ts'
import { installationNames, type Place, placeSchema, type Workshop } from '../strategies/strategy.ts'
import type { Strategy, Tenant } from '../tenant.ts'
import { type Candidate, choosePlace, type Wish } from './choose.ts'

/** The plans of the configuration. */
export type Plans = ResolvedConfig['plans']

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
export async function findPlace(db: Kysely<CatalogTables>, tenantId: string): Promise<Placed | null> {
  const record = await findRoute(db, { id: tenantId })
  if (record === null) return null
  const { database, placement } = record
  return { strategy: placement.strategy, place: { database, schemaName: placement.schemaName } }
}

/**
 * Chooses a place; nothing is recorded, nor made there yet.
 *
 * @param tenantId names what is made for it alone
 * @param into the only shared database that will do
 * @param avoid where the tenant lives already under the same strategy: it is to go elsewhere
 * @throws QuickScaleError `PLACEMENT_REFUSED`
 */
export function choose(
  workshop: Workshop,
  supply: Supply,
  { tenantId, wish, avoid = null, into = null, moved = false }: Placing,
): Chosen {
  const { strategy } = wish
  const candidates = candidatesOf(workshop, supply, { avoid, into })
  const { server, sharedDatabaseId } = choosePlace(candidates, wish)
  if (into !== null && sharedDatabaseId === null) {
    throw new QuickScaleError('PLACEMENT_REFUSED', { reasons: `${into} on ${server} has no room` })
  }
  const names = installationNames(workshop.installation)
  if (strategy === 'database') {
    // Each move makes a database of another name: whoever is late to drop an earlier one drops nothing else.
    const name = moved ? `${names.silo(tenantId)}_${randomSuffix()}` : names.silo(tenantId)
    return { strategy, server, database: name, login: name, kind: 'silo', schema: 'app' }
  }
  const here = supply.shared.filter(({ record }) => record.server === server)
  const known = here.find(({ record }) => record.id === sharedDatabaseId)
  const name = known?.record.name ?? names.furtherShared(here.length + 1)
  const schema = placeSchema(strategy, tenantId)
  return { strategy, server, database: name, login: name, kind: 'shared', schema }
}

/** Four characters: a login role's name has no room for more. */
function randomSuffix(): string {
  return randomBytes(2).toString('hex')
}

/** A tenant that needs a place. */
export interface Placing {
  readonly tenantId: string
  /** It comes from another place. @defaultValue false */
  readonly moved?: boolean
  readonly wish: Wish
  readonly avoid?: DatabaseRecord | null
  /** Name of the only shared database that will do. @defaultValue any */
  readonly into?: string | null
}

/**
 * Chooses a place for a tenant that is recorded already, and registers its database, in the caller's transaction.
 *
 * @throws QuickScaleError `PLACEMENT_REFUSED`
 */
export async function reservePlace(
  workshop: Workshop,
  transaction: Kysely<CatalogTables>,
  placing: Placing,
): Promise<{ place: Place }> {
  await lockChoice(transaction)
  const supply = await listSupply(transaction, placing.wish.strategy)
  const { server, database: name, login, kind, schema } = choose(workshop, supply, placing)
  const wanted = { serverName: server, name, kind, loginRole: login }
  return { place: { database: await registerDatabase(transaction, wanted), schemaName: schema } }
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
  const { strategy } = wish
  return await workshop.catalog.db.transaction().execute(async (transaction) => {
    const { place } = await reservePlace(workshop, transaction, { tenantId: tenant.id, wish })
    const { database, schemaName } = place
    await insertPlacement(transaction, { tenantId: tenant.id, strategy, databaseId: database.id, schemaName })
    return { strategy, place }
  })
}

function candidatesOf(
  { servers }: Workshop,
  { shared, silos, draining }: Supply,
  { avoid, into }: Required<Pick<Placing, 'avoid' | 'into'>>,
): Candidate[] {
  return servers.all.map(({ name, traits }) => ({
    server: name,
    ...traits,
    draining: draining.includes(name),
    left: avoid?.kind === 'silo' && avoid.server === name,
    silos: silos[name] ?? 0,
    shared: shared
      .filter(({ record }) => record.server === name)
      .map(({ record, rowTenants, schemaTenants }) => ({
        id: record.id,
        rowTenants,
        schemaTenants,
        closed: record.id === avoid?.id || (into !== null && record.name !== into),
      })),
  }))
}
