import { assertNumber } from '../arguments.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { listTenants, type TenantFilter } from '../catalog/tenants.ts'
import { limits } from '../limits.ts'
import type { Tenant } from '../tenant.ts'

/** How work over many tenants is done. */
export interface FleetOptions {
  /** Tenants at the same time, 1 to 64. @defaultValue 8 */
  readonly concurrency?: number
  /** Only tenants of this plan. */
  readonly plan?: string
  /** Stops all of it at once; what has not been reported by then never is. */
  readonly signal?: AbortSignal
}

/** What became of the work for one tenant. */
export type FleetOutcome<T> =
  | { readonly tenant: Tenant; readonly value: T; readonly error: null }
  | { readonly tenant: Tenant; readonly value: null; readonly error: unknown }

/**
 * Works on every active tenant, a bounded number at a time, and yields what became of each in the order of completion.
 * A failure is an outcome, not an end. Leaving the loop stops what still runs, and waits for it.
 */
export async function* workOnTenants<T>(
  catalog: Catalog,
  options: FleetOptions,
  work: (tenant: Tenant, signal: AbortSignal) => Promise<T>,
): AsyncGenerator<FleetOutcome<T>, void, undefined> {
  assertNumber('concurrency', options.concurrency)
  const wanted = Math.trunc(options.concurrency ?? limits.fleetConcurrency)
  const concurrency = Math.min(Math.max(1, wanted), limits.fleetConcurrencyMax)
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
  const running = new Set<Promise<void>>()
  const finished: FleetOutcome<T>[] = []
  let wake: () => void = () => undefined

  const start = (tenant: Tenant) => {
    const run = (async () => work(tenant, signal))()
      .then(
        (value) => finished.push({ tenant, value, error: null }),
        (error: unknown) => finished.push({ tenant, value: null, error }),
      )
      .then(() => {
        running.delete(run)
        wake()
      })
    running.add(run)
  }
  const oneMore = async () => {
    if (finished.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    options.signal?.throwIfAborted()
    return finished.splice(0)
  }

  try {
    options.signal?.throwIfAborted()
    for await (const tenant of activeTenants(catalog, options.plan)) {
      while (running.size >= concurrency) yield* await oneMore()
      start(tenant)
    }
    while (running.size > 0 || finished.length > 0) yield* await oneMore()
  } finally {
    stop.abort(new Error('the loop over the tenants was left'))
    await Promise.all(running)
  }
}

async function* activeTenants(catalog: Catalog, plan: string | undefined): AsyncGenerator<Tenant> {
  let after: string | null = null
  do {
    const filter: TenantFilter = {
      state: 'active',
      limit: limits.tenantsPerPageMax,
      ...(plan !== undefined && { plan }),
      ...(after !== null && { after }),
    }
    const page = await listTenants(catalog.db, filter)
    yield* page.tenants
    after = page.next
  } while (after !== null)
}
