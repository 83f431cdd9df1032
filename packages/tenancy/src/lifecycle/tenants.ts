import { assertKeys } from '../arguments.ts'
import { findRoute } from '../catalog/places.ts'
import { listSuspensions, type Suspension } from '../catalog/suspensions.ts'
import { findTenant, listTenants, parseTenantKey, type TenantFilter } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import type { BroughtDatabase } from '../placements/bring.ts'
import { type NewTenant, newTenantKeys } from '../placements/order.ts'
import { provisionTenant } from '../placements/provision.ts'
import type { Plans } from '../placements/reserve.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Placement, Tenant } from '../tenant.ts'
import { type DeleteOptions, type Deletion, deleteTenant } from './delete.ts'
import { reconnectTenant } from './reconnect.ts'
import { changeState, type StateChange } from './states.ts'
import { type SweepReport, sweepTenants } from './sweep.ts'
import { renameTenant, type TenantNames, type TenantUpdate, updateDetails } from './update.ts'

/** The tenants of an installation. Every change is written down in the audit log, and may be repeated. */
export interface Tenants {
  /**
   * Makes a tenant and its place. Safe to repeat after a crash: it goes on where it was interrupted.
   *
   * @throws QuickScaleError `TENANT_EXISTS`, `TENANT_KEY_INVALID`, `TENANT_INVALID`, `PLAN_UNKNOWN`, `SLUG_RESTING`,
   *   `TENANT_NOT_FOUND` and `TENANT_DELETED` (the parent), `PLACEMENT_REFUSED`, `MEMBER_INVALID`, `NOT_INSTALLED`, `LOCK_LOST`; with `database`, before anything is changed:
   *   `DATABASE_URL_INVALID`, `SERVER_UNREACHABLE`, `DATABASE_INSECURE`, `DATABASE_UNSUITABLE`,
   *   `DATABASE_RIGHTS_MISSING`, `DATABASE_TAKEN`, `DATABASE_NOT_EMPTY`
   * @example await tenancy.tenants.create({ slug: 'acme', name: 'Acme', plan: 'enterprise', database: { url } })
   */
  create(tenant: NewTenant): Promise<Tenant>
  /**
   * The same, but returns as soon as the tenant is recorded: `finished` is settled when it is active, or was taken away again
   * because it could not be made. Somebody has to wait for `finished`; a process that ends before leaves a tenant that
   * `sweep()` finishes.
   *
   * @throws QuickScaleError what `create` throws before the tenant is recorded
   * @example
   * const { tenant, finished } = await tenancy.tenants.begin({ slug: 'acme', name: 'Acme', plan: 'enterprise' })
   * finished.catch((error) => console.error(tenant.slug, error))
   */
  begin(tenant: NewTenant): Promise<{ readonly tenant: Tenant; readonly finished: Promise<Tenant> }>
  /** @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID` */
  get(key: string): Promise<Tenant>
  /** One page in the order of slugs; `next` is the `after` of the following page. */
  list(filter?: TenantFilter): Promise<{ tenants: Tenant[]; next: string | null }>
  /** Where the tenant lives. @throws QuickScaleError `TENANT_NOT_FOUND` */
  placement(key: string): Promise<Placement>
  /**
   * Changes name, plan or parent.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND` (also the parent), `TENANT_INVALID`, `PLAN_UNKNOWN`, `PLAN_NEEDS_MOVE`,
   *   `TENANT_DELETED`
   */
  update(key: string, changes: TenantUpdate): Promise<Tenant>
  /**
   * Changes slug or name; the tenant stays where it is. Nobody else gets its old slug while it lives.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_INVALID`, `TENANT_EXISTS`, `SLUG_RESTING`,
   *   `TENANT_DELETED`
   */
  rename(key: string, names: TenantNames): Promise<Tenant>
  /**
   * Replaces the URL of the database that a customer has brought: another password, another host, or a server that it
   * was restored on. It must be the tenant's database; whatever of the library is missing there is made again.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_INVALID` when the tenant has brought none, and what `create` throws
   *   of a brought database
   * @example await tenancy.tenants.reconnect('acme', { url })
   */
  reconnect(key: string, database: BroughtDatabase): Promise<Tenant>
  /**
   * Lets nobody in until it is resumed. On return nobody is inside. Several may suspend it, each under a `cause` of its own.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_INVALID` (cause), `ILLEGAL_TRANSITION`, `TENANT_UNREACHABLE`
   * @example await tenancy.tenants.suspend('acme', { reason: 'invoice 4711 is open' })
   */
  suspend(key: string, change?: StateChange): Promise<Tenant>
  /**
   * Opens a suspended or an archived tenant. With a `cause` it takes back that one only: who is suspended for another one too stays so,
   * and who is archived stays archived.
   *
   * @returns the tenant as it is then
   * @throws QuickScaleError as suspend
   * @example const { state } = await tenancy.tenants.resume('acme', { cause: 'billing' }) // suspended, when an operator has too
   */
  resume(key: string, change?: Pick<StateChange, 'reason' | 'cause'>): Promise<Tenant>
  /**
   * Who keeps a tenant suspended, and why, the first one first.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`
   * @example for (const { cause, reason } of await tenancy.tenants.suspensions('acme')) console.log(cause, reason)
   */
  suspensions(key: string): Promise<readonly Suspension[]>
  /** Lets nobody in and keeps the data, for a customer who has left. @throws QuickScaleError as suspend */
  archive(key: string, change?: Omit<StateChange, 'cause'>): Promise<Tenant>
  /**
   * Takes the tenant and everything it has away, for good, and proves that nothing is left. `dryRun` only tells what
   * would go. Repeat it after an interruption.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_HAS_CHILDREN`, `TENANT_REMAINS`, `LOCK_LOST`;
   *   `SERVER_UNREACHABLE`, `DATABASE_ENTANGLED` of a database that the customer has brought, which itself stays
   * @example
   * const { gone } = await tenancy.tenants.delete('acme', { dryRun: true })
   * for (const { kind, name, count } of gone) console.log(kind, name, count) // rows app.contact 1200
   */
  delete(key: string, options?: DeleteOptions): Promise<Deletion>
  /**
   * Finishes whatever was interrupted: creations, changes of state, deletions. Call it when a process starts, and now
   * and then. Tenants that cannot be made are taken away.
   *
   * @example
   * const { failed } = await tenancy.tenants.sweep()
   * for (const { slug, error } of failed) console.error(slug, error)
   */
  sweep(): Promise<SweepReport>
}

/** Who else has to know of a change. */
export interface TenantListeners {
  /** A slug leads elsewhere from now on. */
  onMoved(slug: string): void
  /** What is known of the tenant with this key may be so no longer. */
  onChanged(key: string): void
  /** A database that waited may have been claimed. */
  onClaimed(): void
}

export function createTenants(
  workshop: Workshop,
  plans: Plans,
  seed: (tenantId: string) => Promise<void>,
  { onMoved, onChanged, onClaimed }: TenantListeners,
): Tenants {
  const { catalog } = workshop
  const found = <T>(key: string, value: T | null): T => {
    if (value === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
    return value
  }
  const create = async (wanted: NewTenant, onRecorded?: (tenant: Tenant) => void) => {
    assertKeys('tenant', wanted, newTenantKeys)
    try {
      return await provisionTenant(workshop, plans, wanted, seed, onRecorded)
    } finally {
      if (Object.hasOwn(plans, wanted.plan) && plans[wanted.plan]?.strategy === 'database') onClaimed()
    }
  }
  // Also when it fails: a part of it may have been done.
  const changing = <T>(key: string, change: Promise<T>) => change.finally(() => onChanged(key))
  return {
    create: (wanted) => create(wanted),
    begin: (wanted) =>
      new Promise((resolve, reject) => {
        const finished = create(wanted, (tenant) => resolve({ tenant, finished }))
        // Nobody has `finished` when it fails before.
        finished.catch(reject)
      }),
    get: async (key) => {
      const tenantKey = parseTenantKey(key)
      return found(key, await findTenant(catalog.db, tenantKey))
    },
    list: (filter = {}) => listTenants(catalog.db, filter),
    placement: async (key) => {
      const tenantKey = parseTenantKey(key)
      return found(key, await findRoute(catalog.db, tenantKey)).placement
    },
    update: (key, changes) => changing(key, updateDetails(workshop, plans, key, changes)),
    rename: async (key, names) => {
      const { slug } = found(key, await findTenant(catalog.db, parseTenantKey(key)))
      const renamed = await changing(key, renameTenant(workshop, key, names))
      if (renamed.slug !== slug) onMoved(slug)
      return renamed
    },
    reconnect: (key, database) => reconnectTenant(workshop, key, database),
    suspend: (key, change) => changing(key, changeState(workshop, key, 'suspended', change)),
    resume: (key, change) => changing(key, changeState(workshop, key, 'active', change)),
    suspensions: async (key) => {
      const { id } = found(key, await findTenant(catalog.db, parseTenantKey(key)))
      return await listSuspensions(catalog.db, id)
    },
    archive: (key, change) => changing(key, changeState(workshop, key, 'archived', change)),
    delete: (key, options) => changing(key, deleteTenant(workshop, plans, key, options)),
    sweep: () => sweepTenants(workshop, plans, seed),
  }
}
