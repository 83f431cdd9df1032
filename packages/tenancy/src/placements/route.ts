import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import type { ChangedTenant, ChangeListener } from '../catalog/changes.ts'
import { type DatabaseRecord, findDatabaseById, findRoute, type RouteRecord } from '../catalog/places.ts'
import { parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Destination } from '../session/destination.ts'
import type { Route, Router } from '../session/route.ts'
import { TokenSource } from '../session/token.ts'
import type { Connections } from '../strategies/connections.ts'
import { tokenKeyOf } from '../strategies/token-keys.ts'
import { refusalOf } from '../tenant.ts'
import { Activity } from './activity.ts'

interface KnownRoute {
  readonly route: Route
  readonly readAtMs: number
  /** No change was heard while it was read. */
  readonly settled: boolean
}

/**
 * Finds where tenants live; remembers it until the fence of a database or the catalog says otherwise, and for a while
 * only when the catalog is not heard.
 */
export class RouteTable {
  readonly #catalog: Catalog
  readonly #connections: Connections
  readonly #masterKey: Buffer
  readonly #known = new LRUCache<string, KnownRoute>({ max: limits.routesCached })
  readonly #reading = new Map<string, Promise<Route>>()
  /** What routes were made of. */
  readonly #records = new WeakMap<Route, RouteRecord>()
  /** Databases that tenants are about to be switched to. */
  readonly #expected = new LRUCache<string, DatabaseRecord>({ max: limits.poolsKept })
  readonly #hasten: (tenantId: string) => void
  /** Where the tenants' work is counted. */
  readonly activity: Activity
  readonly #listener: ChangeListener = {
    changed: ({ id, slugs }) => {
      for (const key of [id, ...slugs]) this.forget(key)
    },
    // Whoever comes to the new place makes up for what fails here.
    expected: (tenant, databaseId) => void this.#expect(tenant, databaseId).catch(() => undefined),
  }
  #closed = false

  /** @param hasten a tenant's next place does not open */
  constructor(
    catalog: Catalog,
    connections: Connections,
    masterKey: Buffer,
    hasten: (tenantId: string) => void = () => undefined,
  ) {
    this.activity = new Activity(catalog)
    this.#hasten = hasten
    this.#catalog = catalog
    this.#connections = connections
    this.#masterKey = masterKey
  }

  routerOf(key: string): Router {
    return {
      key,
      hasten: ({ tenantId }) => this.#hasten(tenantId),
      current: () => this.#current(key),
      resolve: () => this.#resolve(key),
      refresh: (stale, destination = null) => {
        const known = this.#known.get(key)
        // Somebody else has found out already.
        if (known !== undefined && known.route !== stale) return Promise.resolve(known.route)
        const read = () => (destination === null ? this.#read(key) : this.#follow(key, stale, destination))
        return this.#once(key, () => {
          this.#known.delete(key)
          return read()
        })
      },
    }
  }

  /** A router for a tenant that is still being provisioned; nothing is remembered beyond it. */
  routerDuringProvisioning(tenantId: string): Router {
    let route: Route | null = null
    const read = async () => {
      const record = await findRoute(this.#catalog.db, { id: tenantId })
      if (record === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenantId })
      route = await this.#toRoute(record)
      return route
    }
    return { key: tenantId, hasten: () => undefined, current: () => route, resolve: read, refresh: read }
  }

  /** The key leads elsewhere from now on. */
  forget(key: string): void {
    this.#known.delete(key)
  }

  /** From now on every use of a router fails with `TENANCY_CLOSED`. */
  close(): void {
    this.#closed = true
    this.activity.close()
    this.#known.clear()
  }

  #current(key: string): Route | null {
    const known = this.#known.get(key)
    if (known === undefined) return null
    const { route, readAtMs, settled } = known
    if (Date.now() - readAtMs < limits.routeLifetimeMs) return route
    return settled && this.#catalog.changes.covers(readAtMs) ? route : null
  }

  /** One catalog query per tenant at a time, however many wait for it. */
  #resolve(key: string): Promise<Route> {
    return this.#once(key, () => this.#read(key))
  }

  #once(key: string, read: () => Promise<Route>): Promise<Route> {
    const running = this.#reading.get(key)
    if (running !== undefined) return running
    const started = read().finally(() => this.#reading.delete(key))
    this.#reading.set(key, started)
    return started
  }

  /** The place that a moved tenant has left says where it is; the catalog may not say so yet, and is asked soon. */
  async #follow(key: string, stale: Route, destination: Destination): Promise<Route> {
    const left = this.#records.get(stale)
    const { databaseId, epoch, schemaName } = destination
    if (left === undefined || epoch <= left.placement.epoch) return await this.#readCatalog(key)
    const database = databaseId === null ? left.database : await this.#databaseOf(databaseId)
    if (database === null) return await this.#readCatalog(key)
    const placement = {
      ...left.placement,
      epoch,
      schemaName,
      databaseId: database.id,
      databaseName: database.name,
    }
    const route = await this.#toRoute({ ...left, database, placement })
    const readAtMs = Date.now() - limits.routeLifetimeMs + limits.catalogRetryMs
    this.#known.set(key, { route, readAtMs, settled: false })
    return route
  }

  async #databaseOf(id: string): Promise<DatabaseRecord | null> {
    return this.#expected.get(id) ?? (await findDatabaseById(this.#catalog.db, id))
  }

  /** A tenant that is known here is about to be switched to a database: connections to it are opened meanwhile. */
  async #expect({ id, slugs }: ChangedTenant, databaseId: string): Promise<void> {
    const known = [id, ...slugs].flatMap((key) => this.#known.get(key) ?? [])
    const [first] = known
    if (first === undefined || this.#closed) return
    const database = await findDatabaseById(this.#catalog.db, databaseId)
    if (database === null || this.#closed) return
    this.#expected.set(databaseId, database)
    const pool = await this.#connections.poolOf(database)
    if (pool !== first.route.pool) await pool.warm(id, first.route.pool.size)
  }

  async #read(key: string): Promise<Route> {
    try {
      return await this.#readCatalog(key)
    } catch (error) {
      const known = this.#known.get(key)
      const unreachable = error instanceof QuickScaleError && error.code === 'CATALOG_UNREACHABLE'
      if (known === undefined || !unreachable) throw error
      // The fence still says whether the tenant may be entered there; the catalog is asked again after a while.
      const readAtMs = Date.now() - limits.routeLifetimeMs + limits.catalogRetryMs
      this.#known.set(key, { route: known.route, readAtMs, settled: false })
      return known.route
    }
  }

  async #readCatalog(key: string): Promise<Route> {
    if (this.#closed) throw new QuickScaleError('TENANCY_CLOSED')
    const tenantKey = parseTenantKey(key)
    this.#catalog.changes.listen(this.#listener)
    const readAtMs = Date.now()
    const { count } = this.#catalog.changes
    const record = await findRoute(this.#catalog.db, tenantKey)
    if (record === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
    if (record.state !== 'active') {
      throw new QuickScaleError(refusalOf[record.state], { key })
    }
    const route = await this.#toRoute(record)
    if (this.#closed) throw new QuickScaleError('TENANCY_CLOSED')
    const ahead = this.#findAhead(key, record)
    if (ahead !== null) return ahead
    this.#known.set(key, { route, readAtMs, settled: count === this.#catalog.changes.count })
    return route
  }

  /**
   * What a place that the tenant has left has said, while the catalog does not know it yet: whoever waits for the next place to
   * open is not led back. A route that is refused has been forgotten before the catalog is asked.
   */
  #findAhead(key: string, { tenantId, placement }: RouteRecord): Route | null {
    const known = this.#known.get(key)?.route
    const record = known === undefined ? undefined : this.#records.get(known)
    if (known === undefined || record?.tenantId !== tenantId || record.placement.epoch <= placement.epoch)
      return null
    const readAtMs = Date.now() - limits.routeLifetimeMs + limits.catalogRetryMs
    this.#known.set(key, { route: known, readAtMs, settled: false })
    return known
  }

  async #toRoute(record: RouteRecord): Promise<Route> {
    const { tenantId, placement, database, tokenKeyId } = record
    const route = {
      tenantId,
      schemaName: placement.schemaName,
      pool: await this.#connections.poolOf(database),
      tokens: new TokenSource(
        tokenKeyOf(this.#masterKey, database.id, tokenKeyId),
        tenantId,
        placement.epoch,
      ),
      usage: this.activity.of(tenantId),
    }
    this.#records.set(route, record)
    return route
  }
}
