import { type Generated, sql } from 'kysely'
import type { Database } from '../http/database.ts'
import { limits } from '../limits.ts'

interface JobTable {
  id: Generated<string>
  name: string
  payload: unknown
  key: string | null
  attempts: Generated<number>
  run_at: Generated<Date>
  created_at: Generated<Date>
  failed_at: Date | null
  error: string | null
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    job: JobTable
    job_schedule: { name: string; last_run: Date }
  }
}

export interface NewJob {
  readonly name: string
  /** JSON. */
  readonly payload: string
  readonly key: string | null
  readonly runAt: Date | null
}

/** A job that has been begun. */
export interface BegunJob {
  readonly id: string
  readonly name: string
  readonly payload: unknown
  readonly attempts: number
}

/** @returns its id; null when one waits under the key already */
export async function insertJob(db: Database, { name, payload, key, runAt }: NewJob): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`
    insert into job (name, payload, key, run_at)
    values (${name}, ${payload}::jsonb, ${key}, coalesce(${runAt}::timestamptz, now()))
    on conflict do nothing returning id`.execute(db)
  return rows[0]?.id ?? null
}

/** A job that comes by the clock; none while an earlier one waits, for its first time or for another one. */
export async function insertClockJob(db: Database, name: string): Promise<void> {
  const key = `clock ${name}`
  await sql`
    insert into job (name, payload, key) select ${name}, '{}', ${key}
     where not exists (select from job where key = ${key} and failed_at is null)
    on conflict do nothing`.execute(db)
}

/** Begins the job that is due for longest. */
export async function beginJob(db: Database): Promise<BegunJob | null> {
  const { rows } = await sql<BegunJob>`
    update job set attempts = attempts + 1
     where id = (select id from job where failed_at is null and run_at <= now() order by run_at, id limit 1)
    returning id, name, payload, attempts`.execute(db)
  return rows[0] ?? null
}

/** When the next job is due; null when none waits. */
export async function nextDue(db: Database): Promise<Date | null> {
  const { rows } = await sql<{ run_at: Date | null }>`
    select min(run_at) as run_at from job where failed_at is null`.execute(db)
  return rows[0]?.run_at ?? null
}

export async function finishJob(db: Database, id: string): Promise<void> {
  await db.deleteFrom('job').where('id', '=', id).execute()
}

/** It goes on as if this run had not begun. */
export async function giveBackJob(db: Database, id: string): Promise<void> {
  await sql`update job set attempts = greatest(attempts - 1, 0) where id = ${id}`.execute(db)
}

/** Later, each time twice as late; or never again. */
export async function failJob(
  db: Database,
  { id, attempts }: Pick<BegunJob, 'id' | 'attempts'>,
  { attemptsMax, error }: { readonly attemptsMax: number; readonly error: string },
): Promise<void> {
  const text = error.slice(0, limits.jobErrorLengthMax)
  if (attempts >= attemptsMax) {
    await sql`update job set failed_at = now(), key = null, error = ${text} where id = ${id}`.execute(db)
    return
  }
  const pauseMs = Math.min(limits.jobPauseMs * 2 ** (attempts - 1), limits.jobPauseMsMax)
  await sql`update job set run_at = now() + ${pauseMs} * interval '1 millisecond', error = ${text}
    where id = ${id}`.execute(db)
}

/** Jobs that were given up long ago, and that nobody has looked after. */
export async function forgetFailures(db: Database): Promise<void> {
  await sql`delete from job where failed_at < now() - ${limits.jobFailuresKeptMs} * interval '1 millisecond'`.execute(
    db,
  )
}

/**
 * Notes that a job is due by the clock.
 *
 * @returns when it came before: null for the first time, undefined when that is not due any more
 */
export async function noteOccurrence(db: Database, name: string, at: Date): Promise<Date | null | undefined> {
  const { rows } = await sql<{ before: Date | null }>`
    with known as (select last_run from job_schedule where name = ${name})
    insert into job_schedule (name, last_run) values (${name}, ${at})
    on conflict (name) do update set last_run = excluded.last_run where job_schedule.last_run < excluded.last_run
    returning (select last_run from known) as before`.execute(db)
  return rows.length === 0 ? undefined : (rows[0]?.before ?? null)
}
