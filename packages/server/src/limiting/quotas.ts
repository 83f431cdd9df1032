import { LRUCache } from 'lru-cache'
import { ProblemError } from '../http/problem-error.ts'
import { limits } from '../limits.ts'
import type { LimitedTenant } from './limited-tenant.ts'

/** How much of something a tenant may have. */
export interface Quota {
  /** From here on somebody is told. @defaultValue nobody is */
  readonly soft?: number | undefined
  /** No more than this. @defaultValue any amount */
  readonly hard?: number | undefined
}

/** What a request adds. */
export interface Growth {
  /** The name of a gauge: `contacts`. */
  readonly name: string
  /** How much, in the gauge's own unit. */
  readonly amount: number
}

/** Told once in a while that a tenant has more than `soft`. */
export type OnSoftLimit = (passed: Growth & { readonly tenantId: string; readonly soft: number }) => void

interface Entry {
  measured: number
  measuredAtMs: number
  /** Added since it was measured. */
  added: number
  /** Being added. */
  pending: number
  measuring: Promise<void> | null
  toldAtMs: number
}

/**
 * Keeps tenants within what their plans allow them to have. Nothing is counted for each addition: a gauge is asked now and then, more
 * often near the limit, and what this process adds meanwhile is added up. In one process a limit is never passed; what other
 * processes add is noticed after `limits.quotaMeasuredMs`, near the limit after `limits.quotaNearMs`.
 */
export class Quotas {
  readonly #gauges: ReadonlyMap<string, (tenantId: string) => Promise<number>>
  readonly #byPlan = new Map<string, Map<string, Quota>>()
  readonly #entries = new LRUCache<string, Entry>({ max: limits.quotasRemembered })
  readonly #onSoftLimit: OnSoftLimit

  constructor(gauges: ReadonlyMap<string, (tenantId: string) => Promise<number>>, onSoftLimit: OnSoftLimit) {
    this.#gauges = gauges
    this.#onSoftLimit = onSoftLimit
  }

  /** Says what a plan allows; later calls replace what they name. */
  define(plan: string, quotas: Readonly<Record<string, Quota>>): void {
    const known = this.#byPlan.get(plan) ?? new Map<string, Quota>()
    for (const [name, quota] of Object.entries(quotas)) known.set(name, quota)
    this.#byPlan.set(plan, known)
  }

  /** Does what adds something, if that may be. @throws ProblemError `QUOTA_EXCEEDED` */
  async within<T>({ id, plan }: LimitedTenant, { name, amount }: Growth, work: () => Promise<T>): Promise<T> {
    const quota = plan === null ? undefined : this.#byPlan.get(plan)?.get(name)
    const measure = this.#gauges.get(name)
    if (quota === undefined || measure === undefined) return await work()
    const { hard = Number.POSITIVE_INFINITY } = quota
    const entry = this.#entryOf(`${id} ${name}`)
    const ask = () => measure(id)
    const fits = () => total(entry) + amount <= hard
    if (isOld(entry, hard)) await remeasure(entry, ask)
    // Somebody may have deleted something; who keeps trying does not have it counted each time.
    if (!fits() && Date.now() - entry.measuredAtMs >= limits.quotaNearMs) await remeasure(entry, ask)
    if (!fits()) {
      const detail = `The plan of the organization allows ${hard} ${name}, and there are ${total(entry)}`
      throw new ProblemError(402, 'QUOTA_EXCEEDED', detail)
    }
    entry.pending += amount
    try {
      const result = await work()
      entry.added += amount
      return result
    } finally {
      entry.pending -= amount
      this.#tell(entry, id, name, quota)
    }
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const never = Number.NEGATIVE_INFINITY
    const made = { measured: 0, measuredAtMs: never, added: 0, pending: 0, measuring: null, toldAtMs: never }
    this.#entries.set(key, made)
    return made
  }

  #tell(entry: Entry, tenantId: string, name: string, { soft }: Quota): void {
    if (soft === undefined || total(entry) <= soft) return
    if (Date.now() - entry.toldAtMs < limits.quotaToldMs) return
    entry.toldAtMs = Date.now()
    this.#onSoftLimit({ tenantId, name, amount: total(entry), soft })
  }
}

const total = ({ measured, added, pending }: Entry) => measured + added + pending

function isOld(entry: Entry, hard: number): boolean {
  const near = total(entry) >= hard * limits.quotaNear
  const ageMs = Date.now() - entry.measuredAtMs
  return ageMs >= (near ? limits.quotaNearMs : limits.quotaMeasuredMs)
}

/** What is added while it is measured may be counted twice until the next time: rather too much than too little. */
async function remeasure(entry: Entry, ask: () => Promise<number>): Promise<void> {
  entry.measuring ??= (async () => {
    const before = entry.added
    const measuredAtMs = Date.now()
    const measured = await ask()
    entry.measured = measured
    entry.measuredAtMs = measuredAtMs
    entry.added -= before
  })().finally(() => {
    entry.measuring = null
  })
  await entry.measuring
}
