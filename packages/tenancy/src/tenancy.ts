import { AsyncLocalStorage } from 'node:async_hooks'
import { type Admin, createAdmin } from './admin/admin.ts'
import { assertFunction } from './arguments.ts'
import { openCatalog } from './catalog/catalog.ts'
import { type ControlPlane, createControlPlane } from './catalog/control-plane.ts'
import { localKeyProvider } from './catalog/credentials.ts'
import { parseTenantKey } from './catalog/tenants.ts'
import { type PlanConfig, parseConfig, type ResolvedConfig, type TenancyConfig } from './config.ts'
import { type DoctorOptions, type DoctorReport, examineInstallation } from './doctor/doctor.ts'
import { QuickScaleError } from './errors.ts'
import { createFleet, type Fleet } from './fleet/fleet.ts'
import { sweepAtStart } from './lifecycle/sweep.ts'
import { createTenants, type Tenants } from './lifecycle/tenants.ts'
import { LineageMemory } from './members/lineage-memory.ts'
import { createMembers, type Members } from './members/members.ts'
import { readMigrations } from './migrations/files.ts'
import { type PlanChanges, withPlanChanges } from './moves/change-plan.ts'
import { createMoves, type Moves } from './moves/moves.ts'
import { type DriftReport, findInstallationDrift } from './placements/drift.ts'
import { type MigrationReport, migrateInstallation } from './placements/install.ts'
import { Refill } from './placements/refill.ts'
import { createKeys, type Keys } from './placements/rotate-keys.ts'
import { RouteTable } from './placements/route.ts'
import { type WarmReport, warmDatabases } from './placements/warm.ts'
import { createServerOperations, type ServerOperations } from './servers/servers.ts'
import { loadParser } from './session/classifier.ts'
import { assertDriver } from './session/driver-check.ts'
import { createHandle, type TenantHandle, type TenantOptions } from './session/tenant-handle.ts'
import { openBroughtServer } from './strategies/brought-servers.ts'
import { createBudgets, createConnections } from './strategies/connections.ts'
import { applicationLogin } from './strategies/databases.ts'
import { createServers } from './strategies/servers.ts'
import { installationNames, type Workshop } from './strategies/strategy.ts'

/** The front door: everything an application does with tenants begins here. */
export interface Tenancy<DB = unknown> {
  /** Creates the installation or brings it up to date, tables of all tenants included. Repeatable. */
  migrate(): Promise<MigrationReport>
  /**
   * Compares each place with what the migrations it has make of an empty one, and changes nothing. They run in scratch
   * schemas, in transactions that are rolled back.
   *
   * @throws QuickScaleError `MIGRATION_FAILED`, `LAYOUT_REFUSED` when a migration cannot be run again
   * @example
   * const { ok, differences } = await tenancy.drift()
   * for (const { database, kind, object, remedy } of differences) console.log(database, kind, object, remedy)
   */
  drift(): Promise<DriftReport>
  readonly tenants: Tenants & PlanChanges
  /** The plans of the configuration. */
  readonly plans: Readonly<Record<string, Readonly<PlanConfig>>>
  /** Tenants on their way from one place to another, while they work. */
  readonly moves: Moves
  /** The servers of the configuration, and who lives on them. */
  readonly servers: ServerOperations
  /**
   * Makes databases wait for tenants of the strategy `database`, as many on each server as its `warmDatabases`; drops
   * those that are too many. A tenant that is made while one waits gets it, with the id it was made for, in a few
   * milliseconds. With `refillWarmDatabases` that happens by itself, but for what is too many.
   *
   * @throws QuickScaleError `NOT_INSTALLED`, `MIGRATION_FAILED`, `LOCK_LOST`
   * @example const { made } = await tenancy.warm()
   */
  warm(): Promise<WarmReport>
  /**
   * Examines server, databases, places and fences, and changes nothing.
   *
   * @throws QuickScaleError `NOT_INSTALLED`, `SERVER_UNREACHABLE`
   * @example
   * const { ok, findings } = await tenancy.doctor()
   * for (const { level, where, message, remedy } of findings) console.log(level, where, message, remedy)
   */
  doctor(options?: DoctorOptions): Promise<DoctorReport>
  /** @throws QuickScaleError `TENANT_KEY_INVALID`, `ACTOR_INVALID` */
  tenant(key: string, options?: TenantOptions): TenantHandle<DB>
  /** All active tenants together: one query in every place, work for each of them. */
  readonly fleet: Fleet<DB>
  /** The unscoped path of an operator's scripts, audited; never for requests. */
  readonly admin: Admin
  /** The people of each tenant, and their copies in the tenants' places. */
  readonly members: Members
  /** Tables of the application that belong to no single tenant, beside the catalog. */
  readonly controlPlane: ControlPlane
  /** Rotation of keys. */
  readonly keys: Keys
  /** Runs `work` with the tenant as {@link Tenancy.current}, across every await inside it. */
  run<T>(key: string, work: (tenant: TenantHandle<DB>) => Promise<T>, options?: TenantOptions): Promise<T>
  /** The tenant of the surrounding {@link Tenancy.run}. @throws QuickScaleError `TENANT_MISSING` */
  current(): TenantHandle<DB>
  /** Ends all connections, after the work on them. Repeatable. */
  close(): Promise<void>
}

/**
 * Opens an installation. Nothing is created: call `migrate()` for that, once per deployment. With `sweepOnStart` it
 * finishes first what was interrupted.
 *
 * @typeParam DB - Kysely's table interface of the application
 * @throws QuickScaleError `CONFIG_INVALID`, `DRIVER_UNSUITABLE`; `CATALOG_UNREACHABLE` with `sweepOnStart`
 * @example
 * const tenancy = await createTenancy({ databaseUrl, masterKey, migrations: [join(import.meta.dirname, 'migrations')] })
 * await tenancy.migrate()
 * await tenancy.tenants.create({ slug: 'acme', name: 'Acme', plan: 'pro' })
 */
export async function createTenancy<DB = unknown>(
  input: TenancyConfig<TenantHandle<DB>>,
): Promise<Tenancy<DB>> {
  const config = parseConfig(input)
  assertDriver()
  await loadParser()
  const workshop = openWorkshop(config)
  const controlPlane = createControlPlane(catalogUrlOf(workshop), workshop.catalog)
  const { catalog, servers, masterKey, keyProvider } = workshop
  const budgets = createBudgets(config.connections.perServer, config.broughtDatabases.connections)
  const connections = createConnections(config.connections, budgets, servers, (database) =>
    applicationLogin(keyProvider, database),
  )
  const { moves, hasten, turns, close: closeMoves } = createMoves(workshop, config.plans)
  const routes = new RouteTable(catalog, connections, masterKey, hasten)
  const tenant = (key: string, options: TenantOptions = {}): TenantHandle<DB> => {
    parseTenantKey(key)
    return createHandle<DB>(routes.routerOf(key), options)
  }
  const seed = async (tenantId: string) =>
    await config.seed?.(createHandle<DB>(routes.routerDuringProvisioning(tenantId), {}))
  const { fleet, close: closeFleet } = createFleet<DB>(workshop, config.connections, budgets, tenant)
  const refill = new Refill(workshop, config.refillWarmDatabases)
  const close = once(async () => {
    routes.close()
    closeFleet()
    await closeMoves()
    await refill.close()
    await budgets.close()
    await Promise.all([controlPlane.close(), catalog.close(), servers.close()])
  })

  const lineages = new LineageMemory(catalog)
  const tenants = createTenants(workshop, config.plans, seed, {
    onMoved: (slug) => routes.forget(slug),
    onChanged: (key) => lineages.forget(key),
    onClaimed: () => refill.request(),
  })
  if (config.sweepOnStart) {
    await sweepAtStart(tenants.sweep).catch(async (error: unknown) => {
      await close()
      throw error
    })
  }

  refill.request()
  return {
    migrate: async () => {
      const report = await migrateInstallation(workshop, config.plans)
      refill.request()
      return report
    },
    drift: () => findInstallationDrift(workshop),
    doctor: (options) => examineInstallation(workshop, options),
    plans: config.plans,
    tenants: withPlanChanges(tenants, workshop, config.plans, turns),
    moves,
    servers: createServerOperations({ workshop, plans: config.plans, turns, activity: routes.activity }),
    warm: () => warmDatabases(workshop),
    tenant,
    fleet,
    admin: createAdmin(workshop),
    members: createMembers(catalog, tenant, lineages),
    controlPlane,
    keys: createKeys(workshop),
    ...createScope(tenant),
    close,
  }
}

/** The same run for everybody who asks. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work()
    return running
  }
}

function createScope<DB>(tenant: Tenancy<DB>['tenant']): Pick<Tenancy<DB>, 'run' | 'current'> {
  const storage = new AsyncLocalStorage<TenantHandle<DB>>()
  return {
    run: async (key, work, options) => {
      assertFunction('work', work)
      const handle = tenant(key, options)
      return await storage.run(handle, () => work(handle))
    },
    current: () => {
      const handle = storage.getStore()
      if (handle === undefined) throw new QuickScaleError('TENANT_MISSING')
      return handle
    },
  }
}

function catalogUrlOf({ installation, servers }: Pick<Workshop, 'installation' | 'servers'>): string {
  return servers.primary.administrator.urlOf(installationNames(installation).catalog)
}

function openWorkshop(config: ResolvedConfig): Workshop {
  const { installation } = config
  const masterKey = Buffer.from(config.masterKey, 'base64')
  const keyProvider = config.keyProvider ?? localKeyProvider(masterKey)
  const servers = createServers(config, (name) => openBroughtServer(catalog, keyProvider, name))
  const catalog = openCatalog(catalogUrlOf({ installation, servers }), installation)
  return {
    installation,
    catalog,
    servers,
    masterKey,
    keyProvider,
    requireTls: config.broughtDatabases.requireTls,
    migrations: () => readMigrations(config.migrations),
  }
}
