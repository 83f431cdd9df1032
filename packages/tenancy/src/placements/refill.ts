import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { pause } from '../pause.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { codeOf } from './brought-failures.ts'
import { refillDatabases } from './warm.ts'

/**
 * Keeps as many databases waiting as the servers' `warmDatabases`, behind everybody's back: asked after each tenant that
 * may have claimed one, when a process starts and when it has migrated. One process at a time makes one database at a
 * time; another one looks again when that is done. A failure is a warning, and the next attempt comes after a pause that
 * grows. Whoever is killed leaves a database in the making, which the next one finishes.
 */
export class Refill {
  readonly #workshop: Workshop
  readonly #enabled: boolean
  readonly #closing = new AbortController()
  #wanted = false
  #running: Promise<void> | null = null

  /** @param enabled false makes every request do nothing, as no `warmDatabases` does */
  constructor(workshop: Workshop, enabled: boolean) {
    this.#workshop = workshop
    this.#enabled = enabled && workshop.servers.all.some(({ warmDatabases }) => warmDatabases > 0)
  }

  /** One may be missing. Returns at once. */
  request(): void {
    if (!this.#enabled || this.#closing.signal.aborted) return
    this.#wanted = true
    this.#running ??= this.#run()
  }

  /** Makes no further database; waits for the one in the making. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    let failures = 0
    // Whoever asked is answered first.
    await pause(limits.refillDelayMs, signal)
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false
      const outcome = await this.#attempt()
      if (outcome === 'done') failures = 0
      else {
        this.#wanted = true
        failures = outcome === 'failed' ? failures + 1 : 0
        const pauseMs = limits.refillRetryMs * 2 ** Math.max(0, failures - 1)
        await pause(Math.min(pauseMs, limits.refillRetryMsMax), signal)
      }
    }
    this.#running = null
  }

  async #attempt(): Promise<'done' | 'busy' | 'failed'> {
    try {
      return (await refillDatabases(this.#workshop, this.#closing.signal)) ? 'done' : 'busy'
    } catch (error) {
      // Before the first migrate() there is nothing to fill; that asks again.
      if (error instanceof QuickScaleError && error.code === 'NOT_INSTALLED') return 'done'
      if (this.#closing.signal.aborted) return 'done'
      process.emitWarning('A database that waits for a tenant could not be made; it is tried again.', {
        code: 'QUICKSCALE_REFILL_FAILED',
        detail: `${codeOf(error)}: call tenancy.warm() to see why.`,
      })
      return 'failed'
    }
  }
}
