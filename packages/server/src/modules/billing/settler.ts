import { type RawBuilder, sql } from 'kysely'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { reasonOf, type Settling, settle } from './settle.ts'
import type { Subscription } from './tables.ts'

type Surroundings = Settling & Pick<Services, 'log' | 'inBackground'>

/** Settles subscriptions that are due: soon after each change, and now and then. */
export class Settler {
  readonly #surroundings: Surroundings
  #busy = 0
  #looking = false
  #again = false

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
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
      const { subscription, next } = await settle(this.#surroundings, claimed)
      const rested = sql<Date>`greatest(${next}::timestamptz, now() + ${limits.settlementRestMs} * interval '1 millisecond')`
      await this.#ofLease(claimed)
        .set({
          ...free,
          due_at: unlessTouched(claimed, subscription, next && rested, 'due_at'),
          hints_seen: claimed.hints,
          attempts: 0,
          failure: null,
        })
        .execute()
    } catch (error) {
      if (!closing.aborted)
        log.warn({ tenant: claimed.tenant_id, err: error }, 'a tenant does not follow its subscription')
      await this.#postpone(claimed, closing.aborted ? null : reasonOf(error))
    } finally {
      clearInterval(renewal)
    }
  }

  /** Twice as long after each attempt. */
  async #postpone(claimed: Subscription, reason: string | null): Promise<void> {
    const { closing } = this.#surroundings
    const pauseMs = Math.min(limits.settlementPauseMs * 2 ** claimed.attempts, limits.settlementPauseMsMax)
    await this.#ofLease(claimed)
      .set({
        ...free,
        ...(closing.aborted
          ? {}
          : {
              due_at: unlessTouched(
                claimed,
                claimed,
                sql`now() + ${pauseMs} * interval '1 millisecond'`,
                'due_at',
              ),
              attempts: unlessTouched(claimed, claimed, sql`${claimed.attempts + 1}::integer`, 'attempts'),
              failure: unlessTouched(claimed, claimed, sql`${reason}::text`, 'failure'),
            }),
      })
      .execute()
  }

  /** Only while it is still ours. */
  #ofLease({ tenant_id, lease }: Subscription) {
    const { db } = this.#surroundings
    return db.updateTable('subscription').where('tenant_id', '=', tenant_id).where('lease', '=', lease)
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
