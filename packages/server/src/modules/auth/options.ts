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
})
export type AuthOptions = z.output<typeof authOptions>
