import { type Kysely, sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import { limits } from '../limits.ts'

/** Task of graphile-worker in which a tenant has its turn. */
export const TURN = 'tenant'
/** Tasks that hand out what is due by the clock, and look for what was forgotten. */
export const CLOCK = 'clock'
export const SWEEP = 'sweep'
/** Enough for any outage: then the sweep finds what waits. */
const TURN_ATTEMPTS = 50

/**
 * Turns of tenants in graphile-worker's queue. A tenant has one that waits, however many jobs it has, and stands at the end of
 * the line again after each: so nobody waits for more than one turn of each other tenant.
 */
export interface Queue {
  /** Has the tenant's jobs looked at now. */
  wake(tenantIds: readonly string[]): Promise<void>
  /** Has them looked at no later than then. */
  wakeAt(tenantId: string, at: Date): Promise<void>
  /** Has them looked at in a while, whatever becomes of this process. */
  promise(tenantId: string): Promise<void>
  /** A job of no tenant. @returns after it is recorded: together with the rest of the transaction, if `db` is one */
  add(task: string, options: ApplicationTask): Promise<void>
}

export interface ApplicationTask {
  readonly payload: string
  readonly attemptsMax: number
  readonly key: string | null
  readonly runAt: Date | null
}

export function createQueue(db: Kysely<unknown>): Queue {
  const promised = new LRUCache<string, true>({
    max: limits.jobPromisesCached,
    ttl: limits.jobPromiseMs / 2,
  })
  return {
    async wake(tenantIds) {
      await sql`select count(*) from graphile_worker.add_jobs(array(
        select (${TURN}, json_build_object('tenant', id), id, now(), ${TURN_ATTEMPTS}::int, id, 0, null)::graphile_worker.job_spec
          from unnest(${[...tenantIds]}::text[]) as id))`.execute(db)
    },
    async wakeAt(tenantId, at) {
      // One that is to come sooner stays: somebody has asked for it meanwhile.
      await addTurn(db, { tenantId, key: tenantId, at: sql`${at}::timestamptz`, mode: 'preserve_run_at' })
    },
    async promise(tenantId) {
      if (promised.has(tenantId)) return
      const at = sql`now() + ${limits.jobPromiseMs} * interval '1 millisecond'`
      await addTurn(db, { tenantId, key: `${tenantId} promised`, at, mode: 'replace' })
      promised.set(tenantId, true)
    },
    async add(task, { payload, attemptsMax, key, runAt }) {
      await sql`select from graphile_worker.add_job(${task}, ${payload}::json, run_at => ${runAt}::timestamptz,
        max_attempts => ${attemptsMax}::int, job_key => ${key})`.execute(db)
    },
  }
}

interface Turn {
  readonly tenantId: string
  readonly key: string
  readonly at: ReturnType<typeof sql>
  readonly mode: 'replace' | 'preserve_run_at'
}

async function addTurn(db: Kysely<unknown>, { tenantId, key, at, mode }: Turn): Promise<void> {
  await sql`select from graphile_worker.add_job(${TURN}, json_build_object('tenant', ${tenantId}::text),
    queue_name => ${tenantId}, run_at => ${at}, max_attempts => ${TURN_ATTEMPTS}::int, job_key => ${key},
    job_key_mode => ${mode})`.execute(db)
}
