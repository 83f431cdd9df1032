import { z } from 'zod'
import { text } from '../../api/index.ts'

/** What can be configured under `modules.auth`. */
export const authOptions = z.strictObject({
  /** In mails, and in authenticator apps. */
  appName: text(50).default('QuickScale'),
  /** Whether strangers can sign up. */
  registration: z.boolean().default(true),
  /** Slows guessing of passwords down, in the memory of each process. */
  rateLimit: z.boolean().default(true),
  /**
   * Accounts elsewhere that may be signed in with, by name: with `discoveryUrl` any OpenID Connect provider, without it one
   * that better-auth knows by that name (`github`, `google`, …). Their redirect address is `<baseUrl>/auth/callback/<name>`.
   */
  providers: z
    .record(
      z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
      z.strictObject({
        clientId: text(300),
        clientSecret: text(500),
        discoveryUrl: z.url({ protocol: /^https?$/ }).optional(),
      }),
    )
    .default({}),
})
export type AuthOptions = z.output<typeof authOptions>
