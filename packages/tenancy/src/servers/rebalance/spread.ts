/**
 * Which tenants are to move, so that load is spread: a pure function of who lives where and what each of them weighs.
 *
 * First the servers are looked at, then the shared databases of each server among themselves. One is too full when its load, by
 * its capacity, is above the average by more than the threshold. From such a one the tenant goes whose move evens the loads out
 * most, of equal ones the smallest, to where it makes nothing fuller than what it leaves. Each step lowers the sum of squares of
 * the loads, so there is an end; and it is made only when it would take a change of load of the threshold to undo it, so what one
 * plan has done the next one leaves alone.
 */
import type { Strategy } from '../../tenant.ts'

/** A server that takes part. */
export interface BalancedServer {
  readonly name: string
  /** How much load it is to carry, in relation to others. */
  readonly capacity: number
  /** Nobody comes or goes; only its own databases are evened out. */
  readonly apart: boolean
  /** Databases of one tenant each that there is room for. */
  readonly siloRoom: number
  /** Load of tenants with a database of their own that are not listed: they stay. */
  readonly rest: number
}

/** A shared database of such a server. */
export interface BalancedDatabase {
  readonly id: string
  readonly server: string
  /** Further tenants that there is room for. */
  readonly room: Readonly<Record<'rls' | 'schema', number>>
  /** Load of tenants that are not listed: they stay. */
  readonly rest: number
}

/** A tenant that may move. */
export interface BalancedTenant {
  readonly id: string
  readonly strategy: Strategy
  readonly server: string
  /** Null when it has one of its own. */
  readonly databaseId: string | null
  readonly bytes: number
  readonly load: number
  /** Names of the servers that its rules allow. */
  readonly allowed: readonly string[]
}

/** A tenant that is to move, and where to. */
export interface SpreadMove {
  readonly tenantId: string
  readonly server: string
  /** Null when it gets one of its own. */
  readonly databaseId: string | null
}

export interface SpreadOptions {
  /** How far above the average a load may be, as a part of the average. */
  readonly threshold: number
  readonly movesMax: number
}

export interface Balanced {
  readonly servers: readonly BalancedServer[]
  readonly databases: readonly BalancedDatabase[]
  readonly tenants: readonly BalancedTenant[]
}

/** @example spreadLoad({ servers, databases, tenants }, { threshold: 0.2, movesMax: 10 }) // [{ tenantId, server, databaseId }] */
export function spreadLoad(balanced: Balanced, { threshold, movesMax }: SpreadOptions): SpreadMove[] {
  const homes = new Homes(balanced)
  const { servers, databases, tenants } = balanced
  let left = movesMax
  left -= evenOut({
    bins: servers.filter(({ apart }) => !apart).map(({ name, capacity }) => ({ key: name, capacity })),
    tenants,
    threshold,
    movesMax: left,
    binOf: (tenant) => homes.of(tenant).server,
    loadOf: (server) => homes.serverLoad(server),
    mayGo: ({ allowed, strategy }, server) => allowed.includes(server) && homes.hasRoom(strategy, server),
    move: (tenant, server) => homes.moveToServer(tenant, server),
  })
  for (const { name } of servers) {
    left -= evenOut({
      bins: databases.filter(({ server }) => server === name).map(({ id }) => ({ key: id, capacity: 1 })),
      tenants: tenants.filter((tenant) => tenant.strategy !== 'database' && homes.of(tenant).server === name),
      threshold,
      movesMax: left,
      binOf: (tenant) => homes.of(tenant).databaseId ?? '',
      loadOf: (database) => homes.databaseLoad(database),
      mayGo: ({ allowed, strategy }, database) =>
        allowed.includes(name) && homes.roomIn(database, strategy) > 0,
      move: (tenant, database) => homes.moveTo(tenant, { server: name, databaseId: database }),
    })
  }
  return homes.changes()
}

interface Home {
  readonly server: string
  readonly databaseId: string | null
}

/** Who lives where while it is planned. */
class Homes {
  readonly #tenants: readonly BalancedTenant[]
  readonly #databases: readonly BalancedDatabase[]
  readonly #homes: Map<string, Home>
  readonly #serverLoads: Map<string, number>
  readonly #databaseLoads: Map<string, number>
  /** By server, and by database and strategy. */
  readonly #room = new Map<string, number>()

  constructor({ servers, databases, tenants }: Balanced) {
    this.#tenants = tenants
    this.#databases = databases
    this.#homes = new Map(tenants.map(({ id, server, databaseId }) => [id, { server, databaseId }]))
    this.#serverLoads = new Map(servers.map(({ name, rest }) => [name, rest]))
    this.#databaseLoads = new Map(databases.map(({ id, rest }) => [id, rest]))
    for (const { name, siloRoom } of servers) this.#room.set(name, siloRoom)
    for (const { id, server, room, rest } of databases) {
      for (const strategy of ['rls', 'schema'] as const) this.#room.set(`${id} ${strategy}`, room[strategy])
      add(this.#serverLoads, server, rest)
    }
    for (const tenant of tenants) this.#addLoad(tenant, tenant, tenant.load)
  }

  of({ id, server, databaseId }: BalancedTenant): Home {
    return this.#homes.get(id) ?? { server, databaseId }
  }

  serverLoad(server: string): number {
    return this.#serverLoads.get(server) ?? 0
  }

  databaseLoad(id: string): number {
    return this.#databaseLoads.get(id) ?? 0
  }

  roomIn(databaseId: string, strategy: Strategy): number {
    return this.#room.get(`${databaseId} ${strategy}`) ?? 0
  }

  hasRoom(strategy: Strategy, server: string): boolean {
    if (strategy === 'database') return (this.#room.get(server) ?? 0) > 0
    return this.#openDatabase(strategy, server) !== null
  }

  moveToServer(tenant: BalancedTenant, server: string): void {
    const { strategy } = tenant
    const databaseId = strategy === 'database' ? null : this.#openDatabase(strategy, server)
    this.moveTo(tenant, { server, databaseId })
  }

  moveTo(tenant: BalancedTenant, home: Home): void {
    const from = this.of(tenant)
    this.#addLoad(tenant, from, -tenant.load)
    add(this.#room, roomKey(tenant, from), 1)
    this.#homes.set(tenant.id, home)
    this.#addLoad(tenant, home, tenant.load)
    add(this.#room, roomKey(tenant, home), -1)
  }

  changes(): SpreadMove[] {
    return this.#tenants.flatMap((tenant) => {
      const { server, databaseId } = this.of(tenant)
      const stays = server === tenant.server && databaseId === tenant.databaseId
      return stays ? [] : [{ tenantId: tenant.id, server, databaseId }]
    })
  }

  /** The one with the least load of those with room. */
  #openDatabase(strategy: Strategy, server: string): string | null {
    let best: string | null = null
    for (const { id, server: home } of this.#databases) {
      if (home !== server || this.roomIn(id, strategy) <= 0) continue
      if (best === null || this.databaseLoad(id) < this.databaseLoad(best)) best = id
    }
    return best
  }

  #addLoad({ strategy }: BalancedTenant, { server, databaseId }: Home, load: number): void {
    add(this.#serverLoads, server, load)
    if (strategy !== 'database' && databaseId !== null) add(this.#databaseLoads, databaseId, load)
  }
}

function roomKey({ strategy }: BalancedTenant, { server, databaseId }: Home): string {
  return strategy === 'database' ? server : `${databaseId} ${strategy}`
}

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount)
}

interface Bin {
  readonly key: string
  readonly capacity: number
}

interface Evening {
  readonly bins: readonly Bin[]
  readonly tenants: readonly BalancedTenant[]
  readonly threshold: number
  readonly movesMax: number
  binOf(tenant: BalancedTenant): string
  loadOf(key: string): number
  mayGo(tenant: BalancedTenant, key: string): boolean
  move(tenant: BalancedTenant, key: string): void
}

/** @returns how many steps were made */
function evenOut(evening: Evening): number {
  const { bins, movesMax, threshold } = evening
  const total = bins.reduce((sum, { key }) => sum + evening.loadOf(key), 0)
  const average = total / bins.reduce((sum, { capacity }) => sum + capacity, 0)
  if (!(average > 0)) return 0
  for (let steps = 0; steps < movesMax; steps += 1) {
    const best = findStep(evening, { tooMuch: average * (1 + threshold), gainMin: average * threshold })
    if (best === null) return steps
    evening.move(best.tenant, best.key)
  }
  return movesMax
}

interface Step {
  readonly tenant: BalancedTenant
  readonly key: string
  readonly gain: number
}

function findStep(
  { bins, tenants, binOf, loadOf, mayGo }: Evening,
  { tooMuch, gainMin }: { tooMuch: number; gainMin: number },
): Step | null {
  const byKey = new Map(bins.map((bin) => [bin.key, bin]))
  let best: Step | null = null
  for (const tenant of tenants) {
    const { load } = tenant
    const from = byKey.get(binOf(tenant))
    if (from === undefined || load <= 0) continue
    const full = loadOf(from.key) / from.capacity
    if (full <= tooMuch) continue
    const relieved = full - load / from.capacity
    for (const { key, capacity } of bins) {
      const before = loadOf(key) / capacity
      const after = before + load / capacity
      const difference = full + relieved - before - after
      if (key === from.key || after >= full || difference < gainMin) continue
      const step = { tenant, key, gain: load * difference }
      if ((best === null || isBetter(step, best)) && mayGo(tenant, key)) best = step
    }
  }
  return best
}

/** Sums of the same numbers in another order differ in their last digits: as good as equal. */
function isBetter({ gain, tenant }: Step, best: Step): boolean {
  if (Math.abs(gain - best.gain) > best.gain * 1e-9) return gain > best.gain
  if (tenant.bytes !== best.tenant.bytes) return tenant.bytes < best.tenant.bytes
  return tenant.id < best.tenant.id
}
