/**
 * How many connections one server is given, shared by the pools of all its databases.
 *
 * A pool asks for a slot, opens one connection in it, and gives it back when the connection has gone. While pools want
 * slots and none is free, room is made: by ending the connection that has been idle for longest, whosever it is, and by
 * every connection that is given back after its turn. Pools take turns; those of shared databases, which many tenants
 * wait for, come first until they have the number they are guaranteed.
 */
import { limits } from '../limits.ts'

/** A pool, as the budget sees it. */
export interface BudgetMember {
  /** Its connections: opening, open or ending. */
  readonly size: number
  /** Connections it gets before others get any, and keeps while it has use for them. */
  readonly guaranteed: number
  /** Whether it has use for one more. */
  readonly wants: boolean
  /** Since when its longest unused connection has been idle, by performance.now(); null where none is. */
  readonly idleSinceMs: number | null
  /** Opens a connection in the slot that has just been given. */
  open(): void
  /** Ends its longest unused connection. */
  endIdlest(): void
  /** Ends what has been idle or silent for too long. */
  sweep(): void
  /** Ends everything, each connection after the work on it. */
  end(): Promise<void>
}

export class ConnectionBudget {
  readonly #connectionsMax: number
  /** Those that have connections. */
  readonly #members = new Set<BudgetMember>()
  /** Those that want one more, in the order of their turns. */
  readonly #wanting = new Set<BudgetMember>()
  readonly #sweeper: NodeJS.Timeout
  #used = 0
  #leaving = 0
  #closed = false

  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax
    this.#sweeper = setInterval(() => {
      for (const member of this.#members) member.sweep()
    }, limits.connectionSweepMs).unref()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The pool will be told to open a connection as soon as it may. */
  request(member: BudgetMember): void {
    this.#wanting.add(member)
    this.#grant()
    while (this.#wanting.size > this.#leaving) {
      const idlest = this.#findIdlest()
      if (idlest === null) return
      idlest.endIdlest()
    }
  }

  /** A connection has begun to end; its slot will be free. */
  leave(): void {
    this.#leaving += 1
  }

  /** A connection has gone. @param announced by leave() */
  free(member: BudgetMember, announced: boolean): void {
    if (announced) this.#leaving -= 1
    this.#used -= 1
    if (member.size === 0) this.#members.delete(member)
    this.#grant()
  }

  /** Whether a connection that has become free is to make room for another pool's. */
  mustYield(member: BudgetMember, hasUse: boolean, turnEndsAtMs: number): boolean {
    const others = this.#wanting.size - (this.#wanting.has(member) ? 1 : 0)
    if (others <= this.#leaving) return false
    if (!hasUse) return true
    return member.size > member.guaranteed && performance.now() >= turnEndsAtMs
  }

  /** Ends all connections, each after the work on it; whoever waits for one is told at once. */
  async close(): Promise<void> {
    this.#closed = true
    const members = new Set([...this.#members, ...this.#wanting])
    try {
      await Promise.all([...members].map((member) => member.end()))
    } finally {
      // Not before: the work on a connection may be waiting for a network that has fallen silent.
      clearInterval(this.#sweeper)
    }
  }

  #grant(): void {
    while (this.#used < this.#connectionsMax && !this.#closed) {
      const member = this.#next()
      if (member === undefined) return
      this.#wanting.delete(member)
      if (!member.wants) continue
      this.#used += 1
      this.#members.add(member)
      member.open()
      if (member.wants) this.#wanting.add(member)
    }
  }

  #next(): BudgetMember | undefined {
    for (const member of this.#wanting) if (member.size < member.guaranteed) return member
    const [first] = this.#wanting
    return first
  }

  #findIdlest(): BudgetMember | null {
    let found: BudgetMember | null = null
    let foundSinceMs = Number.POSITIVE_INFINITY
    for (const member of this.#members) {
      const sinceMs = member.idleSinceMs
      if (sinceMs === null || sinceMs >= foundSinceMs) continue
      found = member
      foundSinceMs = sinceMs
    }
    return found
  }
}
