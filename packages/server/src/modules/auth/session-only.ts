import type { Caller } from '../../http/access.ts'
import { ProblemError } from '../../http/problem-error.ts'

/** The user who has signed in here: a key or a token is no proof that its user is present. @throws ProblemError `SESSION_REQUIRED` */
export function requireSession(caller: Caller | null): string {
  if (caller?.kind === 'session' && caller.userId !== null) return caller.userId
  throw new ProblemError(403, 'SESSION_REQUIRED', 'This takes a session: sign in with a password')
}
