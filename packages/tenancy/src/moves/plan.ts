import { insertMove, type PlannedPlace } from '../catalog/moves.ts'
import { findRoute } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { withTenantLocked } from '../lifecycle/locked.ts'
import { limits } from '../limits.ts'
import type { Move, MovePlace } from '../move.ts'
import { type Placed, type Plans, planOf, reservePlace, wishOf } from '../placements/reserve.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Strategy, Tenant } from '../tenant.ts'
import { openStateOf } from './arrive.ts'
import { findObstacles, type TenantSize } from './preflight.ts'

/** Where a tenant is to go. */
export interface Destination {
  /** How it is kept apart there. @defaultValue the plan's, or as it is now */
  readonly to?: Strategy
  /** The plan it gets when it arrives; decides the strategy, unless `to` does. @defaultValue its own */
  readonly plan?: string
  /** Name of the server. @defaultValue the least loaded that its rules allow */
  readonly server?: string
  /** Milliseconds for which the way back stays open, 0 for none. @defaultValue 3600000 */
  readonly rollbackWindowMs?: number
}

/** Where a tenant is to go, more closely: for what moves many of them. */
export interface Directions extends Destination {
  /** Refused unless the tenant still lives there. */
  readonly from?: { readonly server: string; readonly database?: string }
  /** Name of a shared database of `server` that it goes to. @defaultValue the one with the fewest tenants */
  readonly database?: string
}

/** What a move would do. */
export interface MovePlan {
  readonly tenant: Tenant
  readonly source: MovePlace
  readonly target: MovePlace
  readonly plan: string | null
  readonly size: TenantSize
  /** Why it cannot be done; empty when it can. */
  readonly obstacles: readonly string[]
}

/**
 * Finds the place for a tenant, and what is in the way; changes nothing.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_MOVING`, `PLAN_UNKNOWN`, `PLACEMENT_REFUSED`,
 *   `MOVE_REFUSED` when it is there already; `TENANT_PROVISIONING`, `TENANT_DELETED`
 */
export async function planMove(
  workshop: Workshop,
  plans: Plans,
  key: string,
  destination: Destination,
): Promise<MovePlan> {
  return await withTenantLocked(workshop, key, { apart: true }, (tenant) =>
    examine(workshop, plans, tenant, destination),
  )
}

/**
 * Plans and records.
 *
 * @param id the move is to have
 * @throws QuickScaleError the same, and `MOVE_REFUSED` with all that is in the way
 */
export async function recordPlan(
  workshop: Workshop,
  plans: Plans,
  key: string,
  destination: Directions,
  id: string,
): Promise<Move> {
  return await withTenantLocked(workshop, key, { apart: true }, async (tenant) => {
    const { obstacles } = await examine(workshop, plans, tenant, destination)
    if (obstacles.length > 0) throw refused(tenant, obstacles.join('; '))
    const [wish, here] = await readDestination(workshop, plans, tenant, destination)
    return await workshop.catalog.db.transaction().execute(async (transaction) => {
      const { place } = await reservePlace(workshop, transaction, {
        tenantId: tenant.id,
        moved: true,
        wish,
        avoid: here.strategy === wish.strategy ? here.place.database : null,
        into: destination.database ?? null,
      })
      const windowMs = Math.min(
        Math.max(0, Math.trunc(destination.rollbackWindowMs ?? limits.rollbackWindowMs)),
        limits.rollbackWindowMsMax,
      )
      return await insertMove(transaction, {
        id,
        tenantId: tenant.id,
        plan: destination.plan ?? null,
        epoch: here.epoch,
        source: toPlanned(here),
        target: toPlanned({ strategy: wish.strategy, place }),
        windowMs,
      })
    })
  })
}

interface Here extends Placed {
  readonly epoch: number
}

async function examine(
  workshop: Workshop,
  plans: Plans,
  tenant: Tenant,
  destination: Directions,
): Promise<MovePlan> {
  const [wish, here] = await readDestination(workshop, plans, tenant, destination)
  const avoid = here.strategy === wish.strategy ? here.place.database : null
  // Rolled back: only to see what would be chosen.
  let target: Placed | null = null
  await workshop.catalog.db
    .transaction()
    .execute(async (transaction) => {
      const { place } = await reservePlace(workshop, transaction, {
        tenantId: tenant.id,
        moved: true,
        wish,
        avoid,
        into: destination.database ?? null,
      })
      target = { strategy: wish.strategy, place }
      throw new Undone()
    })
    .catch((error: unknown) => {
      if (!(error instanceof Undone)) throw error
    })
  const found = target as unknown as Placed
  const { size, obstacles } = await findObstacles(workshop, tenant, here, found)
  return {
    tenant,
    source: toMovePlace(here),
    target: toMovePlace(found),
    plan: destination.plan ?? null,
    size,
    obstacles,
  }
}

class Undone extends Error {}

async function readDestination(
  workshop: Workshop,
  plans: Plans,
  tenant: Tenant,
  { to, plan, server, from, rollbackWindowMs = 0 }: Directions,
): Promise<[ReturnType<typeof wishOf>, Here]> {
  openStateOf(tenant)
  const record = await findRoute(workshop.catalog.db, { id: tenant.id })
  if (record === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenant.slug })
  const { database, placement } = record
  const here: Here = {
    strategy: placement.strategy,
    place: { database, schemaName: placement.schemaName },
    epoch: placement.epoch,
  }
  const left =
    from !== undefined &&
    (from.server !== database.server || (from.database ?? database.name) !== database.name)
  if (left) throw refused(tenant, `it does not live in ${from.server} any more`)
  if (database.brought) throw refused(tenant, 'it lives in a database that its customer has brought')
  const wanted = planOf(plans, plan ?? tenant.plan)
  const strategy = to ?? (plan === undefined ? here.strategy : wanted.strategy)
  if (strategy !== 'rls' && strategy !== 'schema' && strategy !== 'database') {
    throw refused(tenant, `there is no strategy ${String(strategy).slice(0, 40)}`)
  }
  if (Number.isNaN(Math.trunc(rollbackWindowMs))) throw refused(tenant, 'rollbackWindowMs is no number')
  if (server !== undefined) await workshop.servers.of(server)
  const wish = wishOf({ ...wanted, strategy }, { server, region: tenant.region ?? undefined })
  if (strategy === 'database' && here.strategy === 'database' && server === database.server) {
    throw refused(tenant, `it has a database of its own on ${server} already`)
  }
  return [wish, here]
}

function refused({ slug }: Tenant, reasons: string): QuickScaleError {
  return new QuickScaleError('MOVE_REFUSED', { key: slug, reasons })
}

export function toMovePlace({ strategy, place }: Placed): MovePlace {
  const { server, name } = place.database
  return { strategy, server, database: name, schema: place.schemaName }
}

function toPlanned(placed: Placed): PlannedPlace {
  return { ...toMovePlace(placed), databaseId: placed.place.database.id }
}
