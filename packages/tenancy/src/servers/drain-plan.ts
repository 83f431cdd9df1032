import type { Catalog } from '../catalog/catalog.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { listSupply, type Supply } from '../catalog/reservations.ts'
import { countTenantsOn, eachTenantOn, type TenantOnServer } from '../catalog/servers.ts'
import { findTenant } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { MovePlace } from '../move.ts'
import { openStateOf } from '../moves/arrive.ts'
import { inLanes } from '../moves/lanes.ts'
import { toMovePlace } from '../moves/plan.ts'
import { findObstacles, type TenantSize } from '../moves/preflight.ts'
import { choose, type Placed, type Plans, planOf, wishOf } from '../placements/reserve.ts'
import type { Server } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { assertMovable, type LeftTenant } from './drain.ts'

/** A move that a drain or a rebalancing would make. */
export interface PlannedMove {
  /** Slug of the tenant. */
  readonly tenant: string
  readonly source: MovePlace
  readonly target: MovePlace
  readonly size: TenantSize
}

/** What a drain would do. */
export interface DrainPlan {
  readonly server: string
  readonly moves: readonly PlannedMove[]
  /** Who could not be moved, and why. */
  readonly stuck: readonly LeftTenant[]
  /** Tenants of the server that were not looked at, because there are more than 10000. */
  readonly omitted: number
}

/** Where each tenant of a server would go, one after the other, so that caps hold for all of them together. */
export async function planDrain(workshop: Workshop, plans: Plans, server: Server): Promise<DrainPlan> {
  const { db } = workshop.catalog
  const tenants: TenantOnServer[] = []
  for await (const tenant of eachTenantOn(db, server.name)) {
    if (tenants.length === limits.drainPlanTenantsMax) break
    tenants.push(tenant)
  }
  let supply = await readSupply(db, server.name)
  const [moves, stuck]: [PlannedMove[], LeftTenant[]] = [[], []]
  const chosen: { tenant: TenantOnServer; target: Placed }[] = []
  for (const tenant of tenants) {
    try {
      const target = chooseFor(workshop, plans, server, supply, tenant)
      supply = withTenant(supply, target)
      chosen.push({ tenant, target })
    } catch (error) {
      stuck.push(leave(tenant, error))
    }
  }
  await inLanes(chosen, limits.movesConcurrency, async ({ tenant, target }) => {
    try {
      moves.push(await examine(workshop, tenant, target))
    } catch (error) {
      stuck.push(leave(tenant, error))
    }
  })
  moves.sort((one, other) => (one.tenant < other.tenant ? -1 : 1))
  const isWhole = tenants.length < limits.drainPlanTenantsMax
  const omitted = isWhole ? 0 : Math.max(0, (await countTenantsOn(db, server.name)) - tenants.length)
  return { server: server.name, moves, stuck, omitted }
}

/** What all strategies together have to choose from, without the server. */
async function readSupply(db: Catalog['db'], server: string): Promise<Supply> {
  const { shared, draining } = await listSupply(db, 'schema')
  const { silos } = await listSupply(db, 'database')
  return { shared, silos, draining: [...draining, server] }
}

/** @throws QuickScaleError as the move would, as far as the rules of placement are concerned */
function chooseFor(
  workshop: Workshop,
  plans: Plans,
  server: Server,
  supply: Supply,
  tenant: TenantOnServer,
): Placed {
  const { id, plan, region, strategy, database } = tenant
  openStateOf(tenant)
  assertMovable(server, plans, tenant)
  const wish = wishOf({ ...planOf(plans, plan), strategy }, { region: region ?? undefined })
  const chosen = choose(workshop, supply, { tenantId: id, moved: true, wish, avoid: database })
  const known = supply.shared.find(
    ({ record }) => record.name === chosen.database && record.server === chosen.server,
  )
  // Of a database that is yet to be made only its name and its server are looked at.
  const record = known?.record ?? { ...database, server: chosen.server, name: chosen.database, ready: false }
  return { strategy, place: { database: record, schemaName: chosen.schema } }
}

/** What there is to choose from once a tenant has got its place. */
function withTenant({ shared, silos, draining }: Supply, { strategy, place }: Placed): Supply {
  const { database } = place
  if (strategy === 'database') {
    return { shared, draining, silos: { ...silos, [database.server]: (silos[database.server] ?? 0) + 1 } }
  }
  const isPlace = (record: DatabaseRecord) =>
    record.name === database.name && record.server === database.server
  const one = { rowTenants: strategy === 'rls' ? 1 : 0, schemaTenants: strategy === 'rls' ? 0 : 1 }
  if (!shared.some(({ record }) => isPlace(record))) {
    const record = { ...database, id: `${database.server} ${database.name}` }
    return { silos, draining, shared: [...shared, { record, ...one }] }
  }
  const counted = shared.map((each) =>
    isPlace(each.record)
      ? {
          record: each.record,
          rowTenants: each.rowTenants + one.rowTenants,
          schemaTenants: each.schemaTenants + one.schemaTenants,
        }
      : each,
  )
  return { silos, draining, shared: counted }
}

async function examine(
  workshop: Workshop,
  { id, slug, strategy, schema, database }: TenantOnServer,
  target: Placed,
): Promise<PlannedMove> {
  const tenant = await findTenant(workshop.catalog.db, { id })
  if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: slug })
  const source = { strategy, place: { database, schemaName: schema } }
  const { size, obstacles } = await findObstacles(workshop, tenant, source, target)
  if (obstacles.length > 0) {
    throw new QuickScaleError('MOVE_REFUSED', { key: slug, reasons: obstacles.join('; ') })
  }
  return { tenant: slug, source: toMovePlace(source), target: toMovePlace(target), size }
}

function leave({ slug, strategy }: TenantOnServer, error: unknown): LeftTenant {
  return { tenant: slug, strategy, error }
}
