import { z } from 'zod'
import { id, moment, text } from './common.ts'

/** What an operator asks for. */
export const impersonationRequest = z.strictObject({
  /** Slug or id. */
  organization: text(63),
  /** Id or e-mail address of the user. */
  user: text(254),
  /** Shown to the admins of the organization. */
  reason: text(500, 10),
})
/** The token is shown this once, and good for one minute. */
export const impersonationToken = z.object({
  id,
  organization_id: id,
  user_id: id,
  token: z.string(),
  expires_at: moment,
})
export const impersonationRedemption = z.strictObject({ token: z.string().min(1).max(200) })
/** `Authorization: Bearer <credential>` acts as the user, in this organization only. */
export const impersonationBegun = z.object({
  id,
  organization_id: id,
  user_id: id,
  credential: z.string(),
  expires_at: moment,
})

/** One time that an operator has acted as a user, or might have. */
export const impersonation = z.object({
  id,
  operator_id: id,
  user_id: id,
  organization_id: id,
  reason: z.string(),
  asked_at: moment,
  /** When the operator began to act; null while there is only a token. */
  redeemed_at: moment.nullable(),
  expires_at: moment,
  ended_at: moment.nullable(),
  end_code: z.enum(['STOPPED', 'ENDED', 'EXPIRED', 'SIGNED_OUT', 'RIGHT_LOST']).nullable(),
})
/** The latest 100. */
export const impersonations = z.object({ items: z.array(impersonation) })
