import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { BudgetMember, ConnectionBudget } from './connection-budget.ts'
import { FairQueue } from './fair-queue.ts'
import { ScopedClient } from './pg-internals.ts'
import type { ScopedClientOptions } from './scope.ts'

/** How a pool reaches its database; times in milliseconds. */
export interface ScopedPoolOptions extends ScopedClientOptions {
  readonly connectionsMax: number
  /** See BudgetMember. */
  readonly guaranteed: number
  readonly waitMs: number
  /** How many units of work of one tenant may wait. */
  readonly waitingMax: number
  readonly idleMs: number
}

interface Waiter {
  readonly resolve: (client: ScopedClient) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

/**
 * The connections to one database, shared by the tenants in it. A connection serves somebody else only when the server
 * has confirmed that it is idle; any other is ended. Connections are idle only while nobody waits, so whoever finds one
 * takes it at once; else tenants take turns.
 */
export class ScopedPool implements BudgetMember {
  readonly #options: ScopedPoolOptions
  readonly #budget: ConnectionBudget
  /** All, until the server has closed them. */
  readonly #clients = new Set<ScopedClient>()
  /** Since when they have been ending, by performance.now(). */
  readonly #leaving = new Map<ScopedClient, number>()
  /** Longest unused first. */
  readonly #idle: ScopedClient[] = []
  readonly #waiting = new FairQueue<Waiter>()
  #opening = 0
  #warned = false
  #whenEmpty: (() => void) | null = null

  constructor(options: ScopedPoolOptions, budget: ConnectionBudget) {
    this.#options = options
    this.#budget = budget
  }

  /** An idle connection, or null. */
  take(): ScopedClient | null {
    return this.#idle.pop() ?? null
  }

  /**
   * A connection for one unit of work of this tenant.
   *
   * @throws QuickScaleError `CONNECTION_TIMEOUT` when none becomes free in time, `CONNECTION_QUEUE_FULL`,
   *   `TENANCY_CLOSED`
   */
  lease(tenantId: string): Promise<ScopedClient> {
    const idle = this.take()
    if (idle !== null) return Promise.resolve(idle)
    if (this.#budget.closed) return Promise.reject(new QuickScaleError('TENANCY_CLOSED'))
    const waiting = this.#waiting.lengthOf(tenantId)
    if (waiting >= this.#options.waitingMax || this.#waiting.size >= limits.connectionWaitersPerPoolMax) {
      return Promise.reject(new QuickScaleError('CONNECTION_QUEUE_FULL', { waiting }))
    }
    return new Promise((resolve, reject) => {
      const milliseconds = this.#options.waitMs
      const timer = setTimeout(() => {
        this.#waiting.remove(tenantId, waiter)
        reject(new QuickScaleError('CONNECTION_TIMEOUT', { milliseconds }))
      }, milliseconds)
      const waiter = { resolve, reject, timer }
      this.#waiting.add(tenantId, waiter)
      this.#grow()
    })
  }

  /** Opens connections for a tenant that is about to come, so that it need not wait for them; fewer when there is no room. */
  async warm(tenantId: string, count: number): Promise<void> {
    const wanted = Math.min(count, this.#options.connectionsMax) - this.#idle.length
    const leases = Array.from({ length: Math.max(0, wanted) }, () => this.lease(tenantId))
    // What fails here fails again, and is reported, when somebody needs it.
    for (const lease of await Promise.allSettled(leases)) {
      if (lease.status === 'fulfilled') this.giveBack(lease.value)
    }
  }

  giveBack(client: ScopedClient): void {
    const { status, busySince, spoiled, turnEndsAtMs } = client.state
    const confirmed = status === 'I' && busySince === null && spoiled === null
    const hasUse = this.#waiting.size > 0
    if (!confirmed || this.#budget.closed || this.#budget.mustYield(this, hasUse, turnEndsAtMs)) {
      this.#leave(client)
    } else this.#serve(client)
  }

  get size(): number {
    return this.#clients.size
  }

  get guaranteed(): number {
    return this.#options.guaranteed
  }

  // A burst is mostly over before the connections it asks for are open, and opening them takes the server from those who work:
  // so no more are opened at once than there are. Under load the number still doubles with each round.
  get wants(): boolean {
    const openingMax = Math.max(1, this.#clients.size - this.#opening)
    return (
      this.#opening < openingMax &&
      this.#waiting.size > this.#opening &&
      this.#clients.size < this.#options.connectionsMax
    )
  }

  get idleSinceMs(): number | null {
    return this.#idle[0]?.state.idleSinceMs ?? null
  }

  open(): void {
    const client = new ScopedClient(this.#options)
    this.#clients.add(client)
    this.#opening += 1
    client.once('end', () => this.#forget(client))
    client.on('error', () => this.#leave(client))
    client.open(this.#options.waitMs).then(
      () => {
        this.#opening -= 1
        this.#welcome(client)
        if (this.#budget.closed) this.#leave(client)
        else this.#serve(client)
        this.#grow()
      },
      (error: unknown) => {
        this.#opening -= 1
        this.#nextWaiter()?.reject(error)
        this.#leave(client)
      },
    )
  }

  endIdlest(): void {
    const client = this.#idle[0]
    if (client !== undefined) this.#leave(client)
  }

  sweep(): void {
    const nowMs = performance.now()
    while (nowMs - (this.idleSinceMs ?? nowMs) >= this.#options.idleMs) this.endIdlest()
    // The server cancels a slow statement itself; this is for the one that never answers.
    const milliseconds = this.#options.statementTimeoutMs + limits.networkGraceMs
    for (const client of this.#clients) {
      if (nowMs - (client.state.busySince ?? nowMs) < milliseconds) continue
      client.abort(new QuickScaleError('STATEMENT_TIMEOUT', { milliseconds }))
    }
    for (const [client, sinceMs] of this.#leaving) {
      if (nowMs - sinceMs >= limits.networkGraceMs) client.abort(new QuickScaleError('CONNECTION_RELEASED'))
    }
  }

  end(): Promise<void> {
    for (let waiter = this.#nextWaiter(); waiter !== undefined; waiter = this.#nextWaiter()) {
      waiter.reject(new QuickScaleError('TENANCY_CLOSED'))
    }
    while (this.#idle.length > 0) this.endIdlest()
    if (this.#clients.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenEmpty = resolve
    })
  }

  #serve(client: ScopedClient): void {
    const waiter = this.#nextWaiter()
    if (waiter !== undefined) {
      waiter.resolve(client)
      return
    }
    client.state.idleSinceMs = performance.now()
    this.#idle.push(client)
  }

  #nextWaiter(): Waiter | undefined {
    const waiter = this.#waiting.next()
    clearTimeout(waiter?.timer)
    return waiter
  }

  #grow(): void {
    if (this.wants) this.#budget.request(this)
  }

  /** Begins to end a connection; its slot is free when the server has closed it. */
  #leave(client: ScopedClient): void {
    this.#removeIdle(client)
    if (!this.#clients.has(client) || this.#leaving.has(client)) return
    this.#leaving.set(client, performance.now())
    this.#budget.leave()
    client.close()
  }

  #forget(client: ScopedClient): void {
    this.#removeIdle(client)
    this.#clients.delete(client)
    const announced = this.#leaving.delete(client)
    this.#budget.free(this, announced)
    this.#grow()
    if (this.#clients.size === 0) this.#whenEmpty?.()
  }

  #removeIdle(client: ScopedClient): void {
    const index = this.#idle.indexOf(client)
    if (index !== -1) this.#idle.splice(index, 1)
  }

  #welcome(client: ScopedClient): void {
    if (!client.state.facts.logsParameters || this.#warned) return
    this.#warned = true
    process.emitWarning(
      'The PostgreSQL server logs statement parameters, and tenant tokens are parameters.',
      {
        code: 'QUICKSCALE_PARAMETERS_LOGGED',
        detail: `Set log_parameter_max_length = 0 for role ${client.state.facts.roleName}.`,
      },
    )
  }
}
