import { randomUUID } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { type Moving, reasonOf, type Settled, type Settling, settle } from './settle.ts'
import type { Subscription } from './tables.ts'

type Surroundings = Omit<Settling, 'mayMove'> & Pick<Services, 'log' | 'inBackground'>

/** Settles subscriptions that are due: soon after each change, and now and then. */
export class Settler {
  readonly #surroundings: Surroundings
  readonly #settling: Settling
  #busy = 0
  #moves = 0
  #looking = false
  #again = false

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
    this.#settling = { ...surroundings, mayMove: () => this.#moves < limits.settlementMovesMax }
    const timer = setInterval(() => this.request(), limits.settlementIntervalMs).unref()
    surroundings.closing.addEventListener('abort', () => clearInterval(timer), { once: true })
    this.request()
  }

  /** Looks for what is due, beside the requests. */
  request(): void {
    this.#again = true
    if (this.#looking || this.#surroundings.closing.aborted) return
    this.#looking = true
    this.#surroundings.inBackground(() => this.#look())
  }

  /** Settles one subscription now, unless another process does; what fails is tried again later. */
  async settle(tenantId: string): Promise<void> {
    const [claimed] = await this.#claim(1, tenantId)
    if (claimed !== undefined) await this.#settle(claimed)
  }

  /** One look at a time; what becomes due meanwhile is found by the next one. */
  async #look(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false
        const room = limits.settlementsConcurrency - this.#busy
        for (const claimed of room > 0 ? await this.#claim(room) : []) {
          this.#busy += 1
          this.#surroundings.inBackground(() => this.#settle(claimed).finally(() => this.#release()))
        }
      }
    } finally {
      this.#looking = false
    }
  }

  /** There may be more than what there was room for. */
  #release(): void {
    this.#busy -= 1
    this.request()
  }

  async #claim(count: number, tenantId: string | null = null): Promise<Subscription[]> {
    const { db } = this.#surroundings
    const due = db
      .selectFrom('subscription')
      .select('tenant_id')
      .where('due_at', '<=', sql<Date>`now()`)
      .where((where) =>
        where.or([where('leased_until', 'is', null), where('leased_until', '<', sql<Date>`now()`)]),
      )
      .$if(tenantId !== null, (query) => query.where('tenant_id', '=', tenantId))
      .orderBy('due_at')
      .limit(count)
      .forUpdate()
      .skipLocked()
    return await db
      .updateTable('subscription')
      .set({ lease: sql<string>`gen_random_uuid()`, leased_until: leaseEnd })
      .where('tenant_id', 'in', due)
      .returningAll()
      .execute()
  }

  async #settle(claimed: Subscription): Promise<void> {
    const { log, closing } = this.#surroundings
    const renewal = setInterval(() => {
      this.#ofLease(claimed)
        .set({ leased_until: leaseEnd })
        .execute()
        .catch((error: unknown) => log.warn({ err: error }, 'a lease could not be renewed'))
    }, limits.settlementLeaseMs / 3).unref()
    try {
      const settled = await settle(this.#settling, claimed)
      if (settled.moving === undefined) await this.#keep(claimed, settled)
      else await this.#handOver(claimed, settled, settled.moving)
    } catch (error) {
      if (!closing.aborted)
        log.warn({ tenant: claimed.tenant_id, err: error }, 'a tenant does not follow its subscription')
      await this.#postpone(claimed, closing.aborted ? null : reasonOf(error))
    } finally {
      clearInterval(renewal)
    }
  }

  async #keep(claimed: Subscription, { subscription, next, waits = false }: Settled): Promise<void> {
    const rested = sql<Date>`greatest(${next}::timestamptz, now() + ${limits.settlementRestMs} * interval '1 millisecond')`
    await this.#ofLease(claimed)
      .set({
        ...free,
        due_at: unlessTouched(claimed, subscription, next && rested, 'due_at'),
        hints_seen: claimed.hints,
        ...(!waits && { attempts: 0, failure: null }),
      })
      .execute()
  }

  /** The move goes on beside; its subscription is free for a later choice. Should nobody be heard of any more, it is due. */
  async #handOver(claimed: Subscription, { subscription }: Settled, moving: Moving): Promise<void> {
    const mover = randomUUID()
    const recorded = this.#ofLease(claimed)
      .set({
        ...free,
        moving_by: mover,
        moving_until: leaseEnd,
        due_at: unlessTouched(claimed, subscription, leaseEnd, 'due_at'),
        hints_seen: claimed.hints,
      })
      .executeTakeFirst()
      .then(({ numUpdatedRows }) => numUpdatedRows > 0n)
    this.#moves += 1
    this.#surroundings.inBackground(() =>
      this.#accompany(mover, { claimed, subscription }, { moving, recorded }).finally(() => {
        this.#moves -= 1
        this.request()
      }),
    )
    await recorded
  }

  /** Until the move has ended: then the subscription is due, at once or, after a failure, later. */
  async #accompany(mover: string, seen: Seen, { moving, recorded }: Companion): Promise<void> {
    const { db, log, closing } = this.#surroundings
    const { tenant_id } = seen.claimed
    const ofMover = () => db.updateTable('subscription').where('moving_by', '=', mover)
    // Before that an end would be written nowhere, and then never. Why it could not be recorded is for whoever has handed it over.
    const isOurs = await recorded.catch(() => false)
    if (!isOurs) log.warn({ tenant: tenant_id }, 'a move goes on which its subscription knows nothing of')
    const renewal = setInterval(() => {
      ofMover()
        .set({ moving_until: leaseEnd })
        .execute()
        .catch((error: unknown) => log.warn({ err: error }, 'a lease could not be renewed'))
    }, limits.settlementLeaseMs / 3).unref()
    try {
      const { error } = await moving
      const failed = error !== undefined && !closing.aborted
      if (failed) log.warn({ tenant: tenant_id, err: error }, 'a tenant does not follow its subscription')
      if (!isOurs) return
      await ofMover()
        .set({
          moving_by: null,
          moving_until: null,
          ...(failed ? postponed(seen, reasonOf(error)) : { due_at: sql<Date>`now()` }),
        })
        .execute()
    } finally {
      clearInterval(renewal)
    }
  }

  async #postpone(claimed: Subscription, reason: string | null): Promise<void> {
    const { closing } = this.#surroundings
    await this.#ofLease(claimed)
      .set({ ...free, ...(!closing.aborted && postponed({ claimed, subscription: claimed }, reason)) })
      .execute()
  }

  /** Only while it is still ours. */
  #ofLease({ tenant_id, lease }: Subscription) {
    const { db } = this.#surroundings
    return db.updateTable('subscription').where('tenant_id', '=', tenant_id).where('lease', '=', lease)
  }
}

/** A subscription as it was claimed, and as it has become. */
interface Seen {
  readonly claimed: Subscription
  readonly subscription: Subscription
}

/** What goes on beside: the move, and whether it could be recorded who makes it. */
interface Companion {
  readonly moving: Moving
  readonly recorded: Promise<boolean>
}

/** Twice as long after each attempt. */
function postponed({ claimed, subscription }: Seen, reason: string | null) {
  const { attempts } = subscription
  const pauseMs = Math.min(limits.settlementPauseMs * 2 ** attempts, limits.settlementPauseMsMax)
  const unless = <T>(value: RawBuilder<unknown>, column: 'due_at' | 'attempts' | 'failure') =>
    unlessTouched<T>(claimed, subscription, value, column)
  return {
    due_at: unless<Date>(sql`now() + ${pauseMs} * interval '1 millisecond'`, 'due_at'),
    attempts: unless<number>(sql`${attempts + 1}::integer`, 'attempts'),
    failure: unless<string>(sql`${reason}::text`, 'failure'),
  }
}

/** What has been changed or spoken of since stays as that has left it. */
function unlessTouched<T>(
  { hints }: Subscription,
  { version }: Subscription,
  value: RawBuilder<unknown> | null,
  column: 'due_at' | 'attempts' | 'failure',
): RawBuilder<T> {
  return sql<T>`case when version = ${version} and hints = ${hints} then ${value} else ${sql.ref(column)} end`
}

const leaseEnd = sql<Date>`now() + ${limits.settlementLeaseMs} * interval '1 millisecond'`
const free = { lease: null, leased_until: null } as const
