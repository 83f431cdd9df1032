import type { Tenancy } from '@quickscale/tenancy'
import type { FastifyBaseLogger } from 'fastify'
import { limits } from './limits.ts'

/** Brings changes of members to the tenants' places: soon after each change, and now and then. */
export class Deliveries {
  readonly #members: Pick<Tenancy['members'], 'deliver'>
  readonly #log: FastifyBaseLogger
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | null = null
  #again = false
  #closed = false

  constructor(members: Pick<Tenancy['members'], 'deliver'>, log: FastifyBaseLogger) {
    this.#members = members
    this.#log = log
    this.#timer = setInterval(() => this.request(), limits.deliveryIntervalMs).unref()
  }

  /** One delivery at a time; what changes while it runs is delivered by the next one. */
  request(): void {
    if (this.#closed) return
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

  /** When what was asked for until now has been tried. */
  async settled(): Promise<void> {
    await this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      try {
        const { failed } = await this.#members.deliver()
        for (const { tenantId, changes, error } of failed)
          this.#log.warn({ tenant: tenantId, changes, err: error }, 'members wait for delivery')
      } catch (error) {
        // The outbox keeps them for the next time.
        this.#log.warn({ err: error }, 'members wait for delivery')
      }
    }
  }
}
