import { type ActivityOnServer, listActivity } from '../../catalog/activity.ts'
import { listSupply, type SharedDatabase } from '../../catalog/reservations.ts'
import { eachTenantOn, isDraining, type TenantOnServer } from '../../catalog/servers.ts'
import { limits } from '../../limits.ts'
import { findExclusion } from '../../placements/choose.ts'
import { type Plans, planOf, wishOf } from '../../placements/reserve.ts'
import type { Server } from '../../strategies/servers.ts'
import { installationNames, type Workshop } from '../../strategies/strategy.ts'
import { measureShared, measureSilos, type SharedSizes } from './sizes.ts'
import type { Balanced, BalancedTenant } from './spread.ts'

/** A tenant, and how much of the load is its own. */
export interface WeighedTenant extends TenantOnServer {
  readonly bytes: number
  /** Milliseconds for which its work has had a connection, fading within a week. */
  readonly busyMs: number
  /** As a part of the load of everybody. */
  readonly load: number
}

/** Who lives where, and what each of them weighs. */
export interface Survey {
  readonly balanced: Balanced
  readonly tenants: ReadonlyMap<string, WeighedTenant>
  /** Of the shared ones, by id. */
  readonly databaseNames: ReadonlyMap<string, string>
}

interface Measured {
  readonly server: Server
  readonly shared: readonly { readonly database: SharedDatabase; readonly sizes: SharedSizes }[]
  readonly silos: number
  readonly tenants: readonly { readonly tenant: TenantOnServer; readonly bytes: number }[]
  readonly activity: ActivityOnServer
}

/**
 * Looks at each server that takes tenants.
 *
 * @param activityPart how much of a load is activity, 0 to 1; the rest is size
 */
export async function surveyLoad(workshop: Workshop, plans: Plans, activityPart: number): Promise<Survey> {
  const { db } = workshop.catalog
  const { shared } = await listSupply(db, 'schema')
  const { silos } = await listSupply(db, 'database')
  const measured: Measured[] = []
  for (const server of workshop.servers.all) {
    if (await isDraining(db, server.name)) continue
    const here = shared.filter(({ record }) => record.server === server.name && record.ready)
    measured.push(await measureServer(workshop, server, here, silos[server.name] ?? 0))
  }
  return weigh(measured, plans, activityPart)
}

/** How big, and how active, the tenants of a server are; of each shared database the biggest and the most active ones. */
export async function measureServer(
  workshop: Workshop,
  server: Server,
  databases: readonly SharedDatabase[],
  silos: number,
): Promise<Measured> {
  const shared: Measured['shared'][number][] = []
  const activity = await listActivity(workshop.catalog.db, server.name, limits.rebalanceTenantsPerDatabase)
  const ids = new Set(activity.tenants.keys())
  for (const database of databases) {
    const sizes = await measureShared(workshop, database.record)
    shared.push({ database, sizes })
    for (const id of sizes.rows.keys()) ids.add(id)
  }
  const { db } = workshop.catalog
  const own = await gather(eachTenantOn(db, server.name, { apart: true }))
  const inRows = ids.size === 0 ? [] : await gather(eachTenantOn(db, server.name, { ids: [...ids] }))
  const silo = (tenant: TenantOnServer) => tenant.strategy === 'database'
  const names = own.filter(silo).map(({ database }) => database.name)
  const { template } = installationNames(workshop.installation)
  const siloSizes = await measureSilos(workshop, server.name, template, names)
  const bytesOf = (tenant: TenantOnServer): number => {
    if (silo(tenant)) return siloSizes.get(tenant.database.name) ?? 0
    const sizes = shared.find(({ database }) => database.record.id === tenant.database.id)?.sizes
    const found = tenant.strategy === 'rls' ? sizes?.rows.get(tenant.id) : sizes?.schemas.get(tenant.schema)
    return found ?? 0
  }
  const everybody = [...own, ...inRows.filter(({ strategy }) => strategy === 'rls')]
  return {
    server,
    shared,
    silos,
    tenants: everybody.map((tenant) => ({ tenant, bytes: bytesOf(tenant) })),
    activity,
  }
}

async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** A load is a part of all bytes and a part of all activity; where nobody has been active it is one of bytes only. */
function createScale(measured: readonly Measured[], activityPart: number) {
  const bytes = sum(
    measured.flatMap(({ shared, tenants }) => [
      ...shared.map(({ sizes }) => sizes.rest),
      ...tenants.map((tenant) => tenant.bytes),
    ]),
  )
  const busyMs = sum(
    measured.flatMap(({ activity }) => [...activity.tenants.values(), ...activity.rest.values()]),
  )
  const weight = busyMs === 0 ? 0 : activityPart
  return (part: { bytes: number; busyMs: number }) =>
    (bytes === 0 ? 0 : ((1 - weight) * part.bytes) / bytes) +
    (busyMs === 0 ? 0 : (weight * part.busyMs) / busyMs)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function weigh(measured: readonly Measured[], plans: Plans, activityPart: number): Survey {
  const servers = measured.map(({ server }) => server)
  const scale = createScale(measured, activityPart)
  const known = new Map<string, WeighedTenant>()
  const tenants: BalancedTenant[] = []
  /** Load of those who stay, by database, or by server when they have one of their own. */
  const staying = new Map<string, number>()
  const everybody = measured.flatMap(({ tenants: some, activity }) =>
    some.map(({ tenant, bytes }) => ({ tenant, bytes, busyMs: activity.tenants.get(tenant.id) ?? 0 })),
  )
  for (const { tenant, bytes, busyMs } of everybody) {
    const load = scale({ bytes, busyMs })
    known.set(tenant.id, { ...tenant, bytes, busyMs, load })
    const { id, strategy, database } = tenant
    const databaseId = strategy === 'database' ? null : database.id
    if (tenant.state === 'active' && !tenant.moving) {
      const allowed = allowedServers(servers, plans, tenant)
      tenants.push({ id, strategy, server: database.server, databaseId, bytes, load, allowed })
    } else {
      const key = databaseId ?? database.server
      staying.set(key, (staying.get(key) ?? 0) + load)
    }
  }
  const balanced = {
    tenants,
    servers: measured.map(({ server, silos }) => ({
      name: server.name,
      capacity: server.traits.weight,
      apart: server.traits.private,
      siloRoom: Math.max(0, server.traits.caps.databases - silos),
      rest: staying.get(server.name) ?? 0,
    })),
    databases: measured.flatMap(({ server, shared, activity }) =>
      shared.map(({ database, sizes }) => ({
        id: database.record.id,
        server: server.name,
        room: {
          rls: Math.max(0, server.traits.caps.rowTenantsPerDatabase - database.rowTenants),
          schema: Math.max(0, server.traits.caps.schemasPerDatabase - database.schemaTenants),
        },
        rest:
          scale({ bytes: sizes.rest, busyMs: activity.rest.get(database.record.id) ?? 0 }) +
          (staying.get(database.record.id) ?? 0),
      })),
    ),
  }
  const databaseNames = new Map(
    measured.flatMap(({ shared }) => shared.map(({ database: { record } }) => [record.id, record.name])),
  )
  return { balanced, tenants: known, databaseNames }
}

/** Where its rules let it live. Who was pinned to a private server by itself stays there. */
function allowedServers(
  servers: readonly Server[],
  plans: Plans,
  { plan, region, strategy, database }: TenantOnServer,
): string[] {
  if (plans[plan] === undefined) return []
  const rules = { ...planOf(plans, plan), strategy }
  return servers
    .filter(({ name, traits }) => {
      const here = name === database.server
      const wish = wishOf(rules, { region: region ?? undefined, server: here ? name : undefined })
      return findExclusion({ server: name, ...traits, shared: [], silos: 0 }, wish) === null
    })
    .map(({ name }) => name)
}
