import { z } from 'zod'
import { id } from './common.ts'

/** A person in the tenant. */
export const member = z.object({
  user_id: id,
  name: z.string(),
  email: z.string().nullable(),
  role: z.string(),
  active: z.boolean(),
})
export const memberList = z.strictObject({})
export const memberPage = z.object({ items: z.array(member) })
