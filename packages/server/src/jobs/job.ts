import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyBaseLogger } from 'fastify'
import { parseCronItem } from 'graphile-worker'
import type { z } from 'zod'
import type { Database } from '../http/database.ts'
import { limits } from '../limits.ts'

interface Declaration<Payload> {
  /** `<module>.<what it does>`; jobs that wait are found by it, so it stays. */
  readonly name: string
  /** What it is told. With `cron` it must accept `{}`. */
  readonly payload: z.ZodType<Payload>
  /** How often it is begun again after a failure, ever later. @defaultValue 10 */
  readonly retries?: number
  /** `minute hour day month weekday`, UTC: when it comes by itself. @defaultValue never */
  readonly cron?: string
  /** Milliseconds after which a run counts as failed, and its signal is aborted. @defaultValue 300000 */
  readonly timeoutMs?: number
}

/** One run of a job. It may be repeated, even after it was done: `id` is the same then. */
export interface JobRun<Payload> {
  readonly id: string
  /** 1 for the first run. */
  readonly attempt: number
  readonly payload: Payload
  /** Aborted when it takes too long, or the process is about to end. */
  readonly signal: AbortSignal
  readonly log: FastifyBaseLogger
}

/** One run of a job of a tenant: with the tenant's tables, wherever they are by now. */
export interface TenantJobRun<Payload> extends JobRun<Payload> {
  readonly tenant: TenantHandle<TenantTables>
  readonly db: Database
  inTransaction<T>(work: (db: Database) => Promise<T>): Promise<T>
}

interface Prepared<Payload> {
  readonly name: string
  readonly payload: z.ZodType<Payload>
  /** Runs in all. */
  readonly attemptsMax: number
  readonly timeoutMs: number
  readonly cron: Schedule | null
}

/** When a job comes by itself. */
export interface Schedule {
  readonly pattern: string
  matches(moment: Date): boolean
}

/** A job of a tenant. */
export interface TenantJob<Payload = unknown> extends Prepared<Payload> {
  readonly scope: 'tenant'
  run(run: TenantJobRun<unknown>): Promise<unknown>
}

/** A job of no tenant. */
export interface ApplicationJob<Payload = unknown> extends Prepared<Payload> {
  readonly scope: 'application'
  run(run: JobRun<unknown>): Promise<unknown>
}

export type Job = TenantJob | ApplicationJob

/**
 * Declares work that is done in one tenant, later: next to the routes, in `jobs` of `defineModule`.
 *
 * @throws Error for a `cron` that cannot be read, or a payload that is not `{}` beside it
 * @example
 * const welcome = tenantJob({
 *   name: 'crm.welcome',
 *   payload: z.object({ contact_id: id }),
 *   run: async ({ db, payload, id }) => send(await readContact(db, payload.contact_id), { messageId: id }),
 * })
 */
export function tenantJob<Payload>(
  declaration: Declaration<Payload> & { run(run: TenantJobRun<Payload>): Promise<unknown> },
): TenantJob<Payload> {
  const { run } = declaration
  // What was parsed by `payload` is a Payload: nothing else calls this.
  return { ...prepare(declaration), scope: 'tenant', run: (input) => run(input as TenantJobRun<Payload>) }
}

/** Declares work that is done once for the whole application, later. @throws what {@link tenantJob} throws */
export function applicationJob<Payload>(
  declaration: Declaration<Payload> & { run(run: JobRun<Payload>): Promise<unknown> },
): ApplicationJob<Payload> {
  const { run } = declaration
  return { ...prepare(declaration), scope: 'application', run: (input) => run(input as JobRun<Payload>) }
}

function prepare<Payload>(declaration: Declaration<Payload>): Prepared<Payload> {
  const { name, payload, retries = limits.jobRetries, timeoutMs = limits.jobTimeoutMs, cron } = declaration
  if (cron !== undefined) payload.parse({})
  return {
    name,
    payload,
    attemptsMax: retries + 1,
    timeoutMs,
    cron: cron === undefined ? null : readCron(cron),
  }
}

function readCron(pattern: string): Schedule {
  const { match } = parseCronItem({ task: 'any', match: pattern })
  return {
    pattern,
    matches: (moment) =>
      match({
        min: moment.getUTCMinutes(),
        hour: moment.getUTCHours(),
        date: moment.getUTCDate(),
        month: moment.getUTCMonth() + 1,
        dow: moment.getUTCDay(),
      }),
  }
}
