import { setTimeout as sleep } from 'node:timers/promises'
import { QuickScaleError } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { z } from 'zod'
import { ProblemError } from '../../../src/http/problem-error.ts'
import { tenantRoute } from '../../../src/http/route.ts'
import { applicationJob, tenantJob } from '../../../src/jobs/job.ts'
import { defineModule } from '../../../src/modules/module.ts'

/** Ten minutes ago: the clock will not strike while a test runs. */
export const earlier = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 600_000)

const payload = z.object({
  name: z.string(),
  /** Runs that fail before one does not. */
  failures: z.int().default(0),
  /** How long it takes, whatever its signal says. */
  ms: z.int().default(0),
})

/** Names of the runs that have begun in this process. */
export const begun: string[] = []

/** Leaves a company of the name in the tenant for each run that succeeds, and counts all runs as industry. */
export const note = tenantJob({
  name: 'probe.note',
  payload,
  retries: 1,
  run: async ({ db, payload: { name, failures, ms }, attempt, id, signal }) => {
    begun.push(name)
    await sleep(ms, undefined, { signal })
    // First as if it had asked for another tenant, which is not there.
    if (attempt <= failures && attempt === 1)
      throw new QuickScaleError('TENANT_NOT_FOUND', { key: 'another' })
    if (attempt <= failures) throw new Error(`failed ${attempt}`)
    await db
      .insertInto('companies')
      .values({ name, website: id, industry: String(attempt) })
      .execute()
  },
})

export const daily = tenantJob({
  name: 'probe.daily',
  payload: z.object({}),
  cron: `${earlier.getUTCMinutes()} * * * *`,
  run: async ({ db }) => await db.insertInto('companies').values({ name: 'by the clock' }).execute(),
})

export const heard: unknown[] = []
export const everywhere = applicationJob({
  name: 'probe.everywhere',
  payload: z.object({ word: z.string() }),
  run: async ({ payload: { word } }) => void heard.push(word),
})

/** A module that leaves work for later. */
export const probe = defineModule({
  name: 'probe',
  constraints: {},
  options: z.object({}),
  jobs: () => [note, daily, everywhere],
  routes: () => [
    tenantRoute({
      method: 'POST',
      path: '/probe',
      summary: 'Makes a company, and a job with it',
      access: 'member',
      body: payload.extend({ abort: z.boolean().default(false) }),
      answers: { 200: z.object({ id: z.string().nullable() }) },
      handle: async ({ body: { abort, ...work }, inTransaction, enqueue }) => ({
        id: await inTransaction(async (db) => {
          await sql`insert into companies (name) values (${`asked for ${work.name}`})`.execute(db)
          const id = await enqueue(db, note, work)
          if (abort) throw new ProblemError(409, 'ABORTED', 'As asked for')
          return id
        }),
      }),
    }),
  ],
})
