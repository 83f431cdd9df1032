import { z } from 'zod'
import { role } from './auth.ts'
import { id, isNotEmpty, moment, text } from './common.ts'

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
export const memberParameters = z.object({ user_id: id })
export const memberChange = z.strictObject({ role })

const slug = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a-z, 0-9 and inner hyphens, 1 to 63 characters')

/** An organization is a tenant, with what the caller is in it. */
export const organization = z.object({
  id,
  slug: z.string(),
  name: z.string(),
  plan: z.string(),
  /** `provisioning` until its place is made; then `active`. */
  state: z.enum(['provisioning', 'active', 'suspended', 'archived', 'deleting', 'deleted']),
  /** The organization that this one is below, if any. */
  parent_id: id.nullable(),
  role: z.string(),
  created_at: moment,
})
export const organizationCreate = z.strictObject({
  name: text(200),
  slug,
  plan: text(63).optional(),
  /** Slug or id of the organization that this one is to be below; takes an admin of it. */
  parent: text(63).optional(),
})
export const organizationChange = z
  .strictObject({ name: text(200), slug })
  .partial()
  .refine(isNotEmpty, 'must name at least one field')
export const organizationList = z.strictObject({ after: text(63).optional() })
/** Up to 100, in the order of slugs; `next` is the `after` of the following page. */
export const organizationPage = z.object({ items: z.array(organization), next: z.string().nullable() })
export const transfer = z.strictObject({ user_id: id })

export const invitation = z.object({
  id,
  email: z.string(),
  role,
  created_at: moment,
  expires_at: moment,
})
export const invitationCreate = z.strictObject({ email: z.email().max(254).toLowerCase(), role })
export const invitationPage = z.object({ items: z.array(invitation) })
export const invitationAcceptance = z.strictObject({ token: z.string().min(1).max(200) })

const host = z
  .string()
  .toLowerCase()
  .regex(
    /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/,
    'must be a host name like app.example.com',
  )
export const domain = z.object({
  host: z.string(),
  /** Name and value of the TXT record that proves it. */
  record: z.string(),
  value: z.string(),
  created_at: moment,
  verified_at: moment.nullable(),
})
export const domainPage = z.object({ items: z.array(domain) })
export const domainCreate = z.strictObject({ host })
export const domainParameters = z.object({ host })
