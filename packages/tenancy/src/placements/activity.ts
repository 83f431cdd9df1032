import { LRUCache } from 'lru-cache'
import { addActivity } from '../catalog/activity.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { limits } from '../limits.ts'
import type { Usage } from '../session/route.ts'

/**
 * What this process does for each tenant. It is counted in memory, where a statement passes anyway, and added to the catalog now
 * and then; while the catalog cannot be reached it waits.
 */
export class Activity {
  readonly #catalog: Pick<Catalog, 'db'>
  readonly #usages = new LRUCache<string, Usage>({ max: limits.routesCached })
  #timer: NodeJS.Timeout | null = null

  constructor(catalog: Pick<Catalog, 'db'>) {
    this.#catalog = catalog
  }

  /** Where the tenant's work is counted. */
  of(tenantId: string): Usage {
    this.#timer ??= setInterval(() => {
      // It is added the next time.
      this.flush().catch(() => undefined)
    }, limits.activityFlushMs).unref()
    const known = this.#usages.get(tenantId)
    if (known !== undefined) return known
    const usage = { busyMs: 0 }
    this.#usages.set(tenantId, usage)
    return usage
  }

  /** Adds what has been counted to the catalog. @throws QuickScaleError `CATALOG_UNREACHABLE`; nothing is lost then */
  async flush(): Promise<void> {
    const counted = [...this.#usages.entries()].filter(([, { busyMs }]) => busyMs > 0)
    for (let at = 0; at < counted.length; at += limits.activityPerStatement) {
      const batch = counted.slice(at, at + limits.activityPerStatement)
      const work = new Map(batch.map(([tenantId, { busyMs }]) => [tenantId, busyMs]))
      for (const [, usage] of batch) usage.busyMs = 0
      await addActivity(this.#catalog.db, work).catch((error: unknown) => {
        for (const [tenantId, usage] of batch) usage.busyMs += work.get(tenantId) ?? 0
        throw error
      })
    }
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }
}
