import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tenancy } from '@quickscale/tenancy'

/** One write; times by Date.now() and performance.timeOrigin together, in milliseconds. */
export interface Write {
  /** When it was due, whether or not earlier ones had been answered. */
  readonly dueAtMs: number
  readonly answeredAtMs: number
}

interface LoadOptions {
  readonly perSecond: number
  readonly signal: AbortSignal
}

/** The writes of one tenant at a fixed rate, and what has been acknowledged of them. */
export class OpenLoop {
  readonly writes: Write[] = []
  readonly acknowledged = new Set<string>()
  readonly inFlight = new Set<Promise<void>>()
  errors = 0
  firstError: unknown = null
  #stopped = false
  readonly #running: Promise<void>

  /** @param signal ends it too */
  constructor(tenancy: Tenancy, slug: string, { perSecond, signal }: LoadOptions) {
    this.#running = this.#run(tenancy, slug, { perSecond, signal })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    await Promise.all(this.inFlight)
  }

  async #run(tenancy: Tenancy, slug: string, { perSecond, signal }: LoadOptions): Promise<void> {
    const handle = tenancy.tenant(slug)
    const startedAtMs = now()
    for (let index = 0; !this.#stopped && !signal.aborted; index += 1) {
      const dueAtMs = startedAtMs + (index * 1000) / perSecond
      const earlyMs = dueAtMs - now()
      if (earlyMs > 0) await sleep(earlyMs)
      const id = randomUUID()
      const write = handle
        .query({
          name: 'write',
          text: 'insert into message (id, name, email) values ($1, $2, $3)',
          values: [id, slug, `${index}@example.com`],
        })
        .then(
          () => {
            this.acknowledged.add(id)
            this.writes.push({ dueAtMs, answeredAtMs: now() })
          },
          (error: unknown) => {
            this.errors += 1
            this.firstError ??= error
          },
        )
        .finally(() => this.inFlight.delete(write))
      this.inFlight.add(write)
    }
  }
}

/** Comparable with Date.now(), and finer. */
function now(): number {
  return performance.timeOrigin + performance.now()
}
