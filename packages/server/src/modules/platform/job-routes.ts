import { sql } from 'kysely'
import { idParameters } from '../../api/common.ts'
import * as api from '../../api/jobs.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { type Database, found, listResource, missing } from '../../http/resource.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import type { Services } from '../module.ts'

const NAME = 'jobs/failed'

const failedJobs = {
  name: NAME,
  sorts: { failed_at: { column: 'job.failed_at', order: 'desc' } },
  readPage: (db: Database, request: PageRequest, search: string | undefined) => {
    const failed = db
      .selectFrom('job')
      .select([
        'id',
        'name',
        'attempts',
        'created_at',
        sql<string>`coalesce(error, '')`.as('error'),
        sql<Date>`failed_at`.as('failed_at'),
      ])
      .where('failed_at', 'is not', null)
    const narrowed = search === undefined ? failed : failed.where(contains([sql.ref('job.name')], search))
    return readPage(db, narrowed, 'job.id', request)
  },
} as const

/** Jobs that were given up: seen, tried again, thrown away. */
export function jobRoutes({ cursors }: Pick<Services, 'cursors'>): readonly Route[] {
  const route = { access: 'admin', impersonated: true, params: idParameters } as const
  return [
    tenantRoute({
      method: 'GET',
      path: '/jobs/failed',
      summary: 'A page of jobs that were given up, the latest first',
      access: 'admin',
      query: api.failedJobList,
      answers: { 200: api.failedJobPage },
      handle: (input) => listResource(failedJobs, cursors, input),
    }),
    tenantRoute({
      ...route,
      method: 'POST',
      path: '/jobs/failed/:id/retry',
      summary: 'Tries a job again, as often as a new one',
      answers: { 200: api.retriedJob },
      handle: async ({ db, params, changeJobs }) => {
        await changeJobs()
        const { rows } = await sql<{ id: string; name: string }>`
          update job set failed_at = null, error = null, attempts = 0, run_at = now()
           where id = ${params.id} and failed_at is not null returning id, name`.execute(db)
        return found(NAME, rows[0])
      },
    }),
    tenantRoute({
      ...route,
      method: 'DELETE',
      path: '/jobs/failed/:id',
      summary: 'Throws a job away that was given up',
      answers: { 204: null },
      handle: async ({ db, params }) => {
        const failed = db.deleteFrom('job').where('failed_at', 'is not', null)
        const { numDeletedRows } = await failed.where('id', '=', params.id).executeTakeFirst()
        if (numDeletedRows === 0n) throw missing(NAME)
      },
    }),
  ]
}
