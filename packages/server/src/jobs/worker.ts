import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyBaseLogger } from 'fastify'
import {
  Logger,
  makeWorkerUtils,
  type ParsedCronItem,
  parseCronItems,
  type Runner,
  run,
  type TaskList,
} from 'graphile-worker'
import type pg from 'pg'
import { limits } from '../limits.ts'
import { handOut } from './clock.ts'
import type { ApplicationJob, Job, TenantJob } from './job.ts'
import { CLOCK, type Queue, SWEEP, TURN } from './queue.ts'
import { Rescue } from './rescue.ts'
import { runWithin } from './run-within.ts'
import { createOccurrences } from './schedule.ts'
import { findForgotten } from './sweep.ts'
import { type TurnSurroundings, takeTurn } from './turn.ts'

export interface WorkerOptions {
  /** Jobs that are worked on at once. @defaultValue 4 */
  readonly concurrency?: number
}

export interface WorkerSurroundings {
  readonly tenancy: Tenancy<TenantTables>
  readonly queue: Queue
  readonly jobs: readonly Job[]
  readonly log: FastifyBaseLogger
}

/** Works on the jobs of all tenants, together with the workers of other processes. */
export class Worker {
  readonly #surroundings: WorkerSurroundings
  readonly #concurrency: number
  readonly #stopped = new AbortController()
  #running: Promise<void> | null = null

  constructor(surroundings: WorkerSurroundings, { concurrency = limits.jobsConcurrency }: WorkerOptions) {
    this.#surroundings = surroundings
    this.#concurrency = concurrency
  }

  /** Does not wait: what is not there yet, or fails, is tried again. */
  start(): void {
    this.#running ??= this.#keepRunning()
  }

  /** Begins no further job, and waits for those that have begun; they get a signal after five seconds, and are run again. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      try {
        await this.#run(signal)
      } catch (error) {
        this.#surroundings.log.warn({ err: error }, 'the worker has failed, and starts anew')
      }
      await sleep(limits.workerRestartMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { tenancy, log } = this.#surroundings
    const pool = tenancy.controlPlane.openPool({
      connectionsMax: this.#concurrency + 3,
      name: 'quickscale worker',
    })
    const rescue = new Rescue(pool, log)
    const events = new EventEmitter()
    // Jobs are locked in the name of the pool that its workers belong to.
    events.on('worker:create', ({ worker }: { worker: { workerPool: { id: string } } }) =>
      rescue.announce(worker.workerPool.id),
    )
    let runner: Runner | undefined
    const stop = () => void runner?.stop()
    try {
      runner = await this.#open(pool, events)
      signal.addEventListener('abort', stop)
      if (signal.aborted) stop()
      rescue.request()
      await this.#surroundings.queue.add(CLOCK, { payload: '{}', attemptsMax: 1, key: CLOCK, runAt: null })
      await this.#surroundings.queue.add(SWEEP, { payload: '{}', attemptsMax: 1, key: SWEEP, runAt: null })
      await runner.promise
    } finally {
      signal.removeEventListener('abort', stop)
      await rescue.close()
      await whileBusy(pool)
      await pool.end()
    }
  }

  async #open(pgPool: pg.Pool, events: EventEmitter): Promise<Runner> {
    const { jobs, log } = this.#surroundings
    return await run({
      pgPool,
      events,
      concurrency: this.#concurrency,
      noHandleSignals: true,
      pollInterval: limits.jobPollMs,
      gracefulShutdownAbortTimeout: limits.jobShutdownMs,
      taskList: this.#tasks(pgPool),
      parsedCronItems: cronItems(jobs.filter((job) => job.scope === 'application')),
      logger: new Logger((scope) => (level, message, meta) => {
        const write = level === 'error' || level === 'warning' ? 'warn' : 'debug'
        // What else it tells has payloads in it.
        log[write]({ part: 'graphile-worker', ...scope, err: meta?.error }, message)
      }),
    })
  }

  #tasks(pgPool: pg.Pool): TaskList {
    const { tenancy, queue, jobs, log } = this.#surroundings
    const ofTenants = jobs.filter((job) => job.scope === 'tenant')
    const turn: TurnSurroundings = {
      tenancy,
      queue,
      log,
      jobs: new Map(ofTenants.map((job): [string, TenantJob] => [job.name, job])),
      occurrences: createOccurrences(ofTenants),
    }
    const stopping = (signal: AbortSignal | undefined) => signal ?? new AbortController().signal
    const tasks: TaskList = {
      [TURN]: (payload, { abortSignal }) =>
        takeTurn(turn, String(Object(payload).tenant), stopping(abortSignal)),
      [CLOCK]: () => handOut(turn),
      [SWEEP]: async () => {
        await findForgotten(turn)
        const utils = await makeWorkerUtils({ pgPool })
        // Of tenants that have nothing to do.
        await utils.cleanup({ tasks: ['GC_JOB_QUEUES'] }).finally(() => utils.release())
      },
    }
    for (const job of jobs.filter((each) => each.scope === 'application')) {
      tasks[job.name] = async (payload, { job: { id, attempts: attempt }, abortSignal }) =>
        await runWithin({ stopping: stopping(abortSignal), timeoutMs: job.timeoutMs }, (signal) =>
          job.run({
            id,
            attempt,
            payload: job.payload.parse(withoutCron(payload)),
            signal,
            log: log.child({ job: id, name: job.name }),
          }),
        )
    }
    return tasks
  }
}

/** graphile-worker is over before the last jobs are recorded as done: that still asks for a connection. */
async function whileBusy(pool: pg.Pool): Promise<void> {
  for (let waited = 0; waited < limits.workerBusyMsMax; waited += limits.workerBusyPollMs) {
    if (pool.waitingCount === 0 && pool.idleCount === pool.totalCount) return
    await sleep(limits.workerBusyPollMs)
  }
}

/** What graphile-worker adds to jobs that come by the clock. */
function withoutCron(payload: unknown): unknown {
  const { _cron, ...rest } = Object(payload)
  return rest
}

function cronItems(jobs: readonly ApplicationJob[]): ParsedCronItem[] {
  const once = { backfillPeriod: limits.cronCatchUpMs }
  return parseCronItems([
    { task: CLOCK, match: '* * * * *', options: { jobKey: CLOCK, maxAttempts: 1 } },
    { task: SWEEP, match: '17 * * * *', options: { jobKey: SWEEP, maxAttempts: 1 } },
    ...jobs.flatMap(({ name, cron, attemptsMax: maxAttempts }) =>
      cron === null
        ? []
        : [{ task: name, match: cron.pattern, options: { ...once, jobKey: `clock ${name}`, maxAttempts } }],
    ),
  ])
}
