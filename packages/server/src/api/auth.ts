import { z } from 'zod'
import { id, isNotEmpty, moment, text } from './common.ts'

const email = z.email().max(254)
const password = z.string().min(10).max(128)
const token = z.string().min(1).max(500)
/** What a key or a token allows at most, and what members are. */
export const role = z.enum(['viewer', 'member', 'admin', 'owner'])

export const user = z.object({
  id,
  name: z.string(),
  email: z.string(),
  email_verified: z.boolean(),
  image: z.string().nullable(),
  two_factor: z.boolean(),
  created_at: moment,
})
export const signUp = z.strictObject({
  name: text(100),
  email,
  password,
  /** The token of an invitation to this address, which it takes while registration is closed. */
  invitation: token.optional(),
})
/** The same whether the address was free or not: nobody learns who has an account. */
export const signedUp = z.object({ status: z.literal('verify-email') })
export const signIn = z.strictObject({ email, password: z.string().min(1).max(128) })
/** With `two-factor` the session begins with `/auth/two-factor/verify`. */
export const signedIn = z.object({ status: z.enum(['signed-in', 'two-factor']) })
export const emailOnly = z.strictObject({ email })
export const tokenOnly = z.strictObject({ token })
export const passwordReset = z.strictObject({ token, password })
export const passwordChange = z.strictObject({ current_password: z.string().min(1).max(128), password })
export const emailChange = z.strictObject({ email, password: z.string().min(1).max(128) })
export const passwordOnly = z.strictObject({ password: z.string().min(1).max(128) })
export const profileChange = z
  .strictObject({ name: text(100), image: z.url().max(500).nullable() })
  .partial()
  .refine(isNotEmpty, 'must name at least one field')

export const session = z.object({
  id,
  created_at: moment,
  expires_at: moment,
  ip_address: z.string().nullable(),
  user_agent: z.string().nullable(),
})
export const sessions = z.object({ items: z.array(session) })

export const apiKey = z.object({
  id,
  name: z.string(),
  /** The first characters of the key. */
  start: z.string(),
  /** The only organization it is good for, if it is bound to one. */
  organization_id: id.nullable(),
  /** The most that it allows; null for whatever the user may. */
  role: role.nullable(),
  created_at: moment,
  expires_at: moment.nullable(),
})
export const apiKeys = z.object({ items: z.array(apiKey) })
export const apiKeyCreate = z.strictObject({
  name: text(100),
  role: role.optional(),
  expires_at: moment.optional(),
})
export const apiClientCreate = z.strictObject({ name: text(100), role, expires_at: moment.optional() })
/** The key is shown this once. */
export const apiKeyCreated = z.object({ ...apiKey.shape, key: z.string() })

export const tokenRequest = z.strictObject({
  /** Slug or id of the organization that the token is to be good for; without it, for none. */
  organization: text(63).optional(),
})
export const tokenAnswer = z.object({ token: z.string(), expires_at: moment })
export const jwks = z.object({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })) })

export const twoFactorEnabled = z.object({ totp_uri: z.string(), backup_codes: z.array(z.string()) })
export const twoFactorCode = z.strictObject({ code: z.string().regex(/^\d{6}$/, 'must have 6 digits') })
export const backupCode = z.strictObject({ code: z.string().min(1).max(30) })
export const done = z.object({ status: z.literal('done') })

const provider = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/)
export const providerSignIn = z.strictObject({ provider })
export const providerPage = z.object({ url: z.string() })
export const providerParameters = z.object({ provider })
/** What providers send back; they may say more. */
export const providerCallback = z
  .object({
    code: z.string().max(4_000),
    state: z.string().max(4_000),
    error: z.string().max(200),
    iss: z.string().max(500),
  })
  .partial()
