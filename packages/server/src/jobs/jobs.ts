import { QuickScaleError, type Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { Database } from '../http/database.ts'
import { ProblemError } from '../http/problem-error.ts'
import { limits } from '../limits.ts'
import type { ApplicationJob, TenantJob } from './job.ts'
import { insertJob } from './place.ts'
import { createQueue, type Queue } from './queue.ts'

export interface EnqueueOptions {
  /** While a job waits under it, a further one is none: up to 200 characters. @defaultValue none */
  readonly key?: string
  /** @defaultValue at once */
  readonly runAt?: Date
}

/** Work that is left for later. */
export interface Jobs {
  /**
   * Enqueues a job of a tenant from outside of a request; in one, use the `enqueue` that `handle` gets.
   *
   * @returns the job's id; null when one waits under the key already
   * @throws ProblemError `JOB_TOO_LARGE`; QuickScaleError what the tenant's tables throw
   */
  enqueue<Payload>(
    tenantKey: string,
    job: TenantJob<Payload>,
    payload: Payload,
    options?: EnqueueOptions,
  ): Promise<string | null>
  /** Enqueues a job of no tenant. Of several that wait under one key, the last one counts. */
  enqueueInApplication<Payload>(
    job: ApplicationJob<Payload>,
    payload: Payload,
    options?: EnqueueOptions,
  ): Promise<void>
  /** What a request enqueues with. */
  within(tenantKey: string): Enqueuing
}

/** Jobs that belong to a change: in the transaction that makes it. */
export interface Enqueuing {
  /** @param db the change's transaction, or the tenant's tables */
  enqueue<Payload>(
    db: Database,
    job: TenantJob<Payload>,
    payload: Payload,
    options?: EnqueueOptions,
  ): Promise<string | null>
  /** To be called before jobs are changed otherwise. */
  promise(): Promise<void>
  /** Has them begun, if there are any; to be called after the commit. What it cannot announce is found in a while. */
  announce(): Promise<void>
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function createJobs(tenancy: Tenancy<TenantTables>): Jobs & { readonly queue: Queue } {
  const queue = createQueue(tenancy.controlPlane.kysely('graphile_worker'))
  const within = (tenantKey: string): Enqueuing => {
    let tenantId: string | null = null
    // Before anything is changed: whatever happens afterwards, somebody will look.
    const promise = async () => {
      tenantId ??= uuid.test(tenantKey) ? tenantKey : (await tenancy.tenants.get(tenantKey)).id
      await queue.promise(tenantId)
    }
    return {
      promise,
      async enqueue(db, job, payload, { key = null, runAt = null } = {}) {
        const text = print(job, payload)
        await promise()
        return await insertJob(db, { name: job.name, payload: text, key, runAt })
      },
      async announce() {
        if (tenantId !== null) await queue.wake([tenantId])
      },
    }
  }
  return {
    queue,
    within,
    async enqueue(tenantKey, job, payload, options) {
      const enqueuing = within(tenantKey)
      const id = await enqueuing.enqueue(tenancy.tenant(tenantKey).kysely, job, payload, options)
      await enqueuing.announce()
      return id
    },
    async enqueueInApplication(job, payload, { key = null, runAt = null } = {}) {
      const { name, attemptsMax } = job
      await queue.add(name, { payload: print(job, payload), attemptsMax, key, runAt })
    },
  }
}

function print<Payload>(job: Pick<TenantJob<Payload>, 'name' | 'payload'>, payload: Payload): string {
  const text = JSON.stringify(payload)
  job.payload.parse(JSON.parse(text))
  if (Buffer.byteLength(text) <= limits.jobPayloadBytesMax) return text
  throw new ProblemError(413, 'JOB_TOO_LARGE', `A job takes ${limits.jobPayloadBytesMax} bytes at most`)
}

/** Why a tenant's jobs wait: it may not be entered for now. */
const closed: ReadonlySet<string> = new Set(['TENANT_SUSPENDED', 'TENANT_ARCHIVED', 'TENANT_PROVISIONING'])
/** Why a tenant has no jobs any more. */
const gone: ReadonlySet<string> = new Set(['TENANT_DELETED', 'TENANT_NOT_FOUND'])

export const isClosed = (error: unknown) => error instanceof QuickScaleError && closed.has(error.code)
export const isGone = (error: unknown) => error instanceof QuickScaleError && gone.has(error.code)
