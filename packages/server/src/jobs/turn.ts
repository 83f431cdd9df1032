import { QuickScaleError, type Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyBaseLogger } from 'fastify'
import { ProblemError } from '../http/problem-error.ts'
import { limits } from '../limits.ts'
import type { TenantJob } from './job.ts'
import { isClosed, isGone } from './jobs.ts'
import {
  type BegunJob,
  beginJob,
  failJob,
  finishJob,
  forgetFailures,
  giveBackJob,
  insertClockJob,
  nextDue,
  noteOccurrence,
} from './place.ts'
import type { Queue } from './queue.ts'
import { JobError, runWithin } from './run-within.ts'

// A tenant's jobs are rows of its place. A turn takes one after the other; when it is over, or its time is, the tenant goes to
// the end of the line. Whoever is killed in between leaves the row as it is: begun once more, and still due.

export interface TurnSurroundings {
  readonly tenancy: Tenancy<TenantTables>
  readonly queue: Queue
  readonly jobs: ReadonlyMap<string, TenantJob>
  readonly occurrences: (now: Date) => readonly { readonly name: string; readonly at: Date }[]
  readonly log: FastifyBaseLogger
}

/** A tenant's turn. Throws what keeps it from its own jobs; what fails in a job is the job's. */
export async function takeTurn(
  surroundings: TurnSurroundings,
  tenantId: string,
  signal: AbortSignal,
): Promise<void> {
  const { tenancy, queue } = surroundings
  const db = tenancy.tenant(tenantId).kysely
  try {
    await enqueueOccurrences(surroundings, tenantId)
    const ends = performance.now() + limits.jobTurnMs
    for (let count = 0; count < limits.jobsPerTurn && performance.now() < ends; count += 1) {
      if (signal.aborted) break
      const begun = await beginJob(db)
      if (begun === null) break
      await runJob(surroundings, tenantId, begun, signal)
    }
    await forgetFailures(db)
    const due = await nextDue(db)
    if (due !== null) await queue.wakeAt(tenantId, due > new Date() ? due : new Date())
  } catch (error) {
    if (isGone(error)) return
    if (!isClosed(error)) throw error
    await queue.wakeAt(tenantId, new Date(Date.now() + limits.jobClosedMs))
  }
}

async function runJob(
  { tenancy, jobs, log: above }: TurnSurroundings,
  tenantId: string,
  begun: BegunJob,
  stopping: AbortSignal,
): Promise<void> {
  const { id, name, attempts: attempt } = begun
  const log = above.child({ tenant: tenantId, job: id, name, attempt })
  const job = jobs.get(name)
  const own = tenancy.tenant(tenantId).kysely
  const attemptsMax = job?.attemptsMax ?? limits.jobRetries
  try {
    if (job === undefined) throw new JobError(`No module has a job ${name}`)
    // It was begun that often and has never come to an end: it kills whoever runs it.
    if (attempt > attemptsMax) throw new JobError('The process ended each time that it ran')
    const payload = job.payload.parse(begun.payload)
    const tenant = tenancy.tenant(tenantId, { actor: { id: `job:${id}`, role: 'job' } })
    await runWithin({ stopping, timeoutMs: job.timeoutMs }, (signal) =>
      job.run({
        id,
        attempt,
        payload,
        signal,
        log,
        tenant,
        db: tenant.kysely,
        inTransaction: (work) => tenant.transaction(({ kysely }) => work(kysely)),
      }),
    )
  } catch (error) {
    // Of this tenant or of another one that the job has asked for: if it is this one, the place will say so.
    if (stopping.aborted) {
      await giveBackJob(own, id)
      return
    }
    log.warn({ err: error }, attempt >= attemptsMax ? 'a job is given up' : 'a job has failed')
    await failJob(own, { id, attempts: attempt }, { attemptsMax, error: reasonOf(error, id) })
    return
  }
  await finishJob(own, id)
}

async function isFirst(tenancy: TurnSurroundings['tenancy'], tenantId: string, at: Date): Promise<boolean> {
  if (at.getTime() < Date.now() - limits.cronFirstMs) return false
  return (await tenancy.tenants.get(tenantId)).createdAt <= at
}

/** For the admins of the tenant: what we say to callers. Whatever else went wrong may name hosts, or rows of others: it is logged. */
function reasonOf(error: unknown, id: string): string {
  const told = error instanceof ProblemError || error instanceof QuickScaleError || error instanceof JobError
  return told ? error.message : `Something went wrong on our side; job ${id} names it in the log`
}

/** What came due by the clock, once each: even if many of its moments have passed. */
async function enqueueOccurrences(
  { occurrences, tenancy }: TurnSurroundings,
  tenantId: string,
): Promise<void> {
  for (const { name, at } of occurrences(new Date())) {
    await tenancy.tenant(tenantId).transaction(async ({ kysely }) => {
      const before = await noteOccurrence(kysely, name, at)
      if (before === undefined) return
      // What came before the tenant or the job was there is not missed: only of a moment ago is it the first time.
      if (before === null && !(await isFirst(tenancy, tenantId, at))) return
      await insertClockJob(kysely, name)
    })
  }
}
