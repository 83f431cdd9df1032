import { z } from 'zod'
import { id, listQuery, moment, pageOf } from './common.ts'

/** One line of the audit log: ids, never names or what was sent. */
export const auditEntry = z.object({
  id,
  at: moment,
  /** A user's id, or `client:<id>`. */
  actor: z.string(),
  /** How they proved it. */
  credential: z.string(),
  /** The member of staff who acted as the actor. */
  impersonator: z.string().nullable(),
  /** `POST /contacts` */
  action: z.string(),
  /** Id of the record it was about. */
  entity: z.string().nullable(),
  request_id: id,
  outcome: z.enum(['done', 'refused', 'failed']),
  /** Why it was not done. */
  code: z.string().nullable(),
})
export const auditList = listQuery(['at'])
export const auditPage = pageOf(auditEntry)
