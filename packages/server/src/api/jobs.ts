import { z } from 'zod'
import { id, listQuery, moment, pageOf } from './common.ts'

/** A job that was given up, after its last try. */
export const failedJob = z.object({
  id,
  name: z.string(),
  /** How often it was begun. */
  attempts: z.int(),
  error: z.string(),
  created_at: moment,
  failed_at: moment,
})
export const failedJobList = listQuery(['failed_at'])
export const failedJobPage = pageOf(failedJob)
export const retriedJob = z.object({ id, name: z.string() })
