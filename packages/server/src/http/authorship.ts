import { forbidden, reaches } from './access.ts'
import { ProblemError } from './problem-error.ts'
import type { Asker } from './resource.ts'

/**
 * The member under whose name something is written: the caller, if they are one. Only admins write in another's name.
 *
 * @param named whom the request names
 * @param field where it does
 * @throws ProblemError `ROLE_INSUFFICIENT`; `VALIDATION_FAILED` when there is nobody
 */
export function chooseAuthor({ caller, standing }: Asker, named: string | undefined, field: string): string {
  const self = caller?.userId ?? undefined
  if (named !== undefined && named !== self && !(standing && reaches(standing.role, 'admin')))
    throw forbidden('admin')
  return requireMember(named ?? self, field)
}

/** The member that a record is given to: whom the request names, else the caller. */
export function requireMember(member: string | null | undefined, field: string): string {
  if (member != null) return member
  throw new ProblemError(400, 'VALIDATION_FAILED', 'The body of the request is not acceptable', [
    { in: 'body', path: `/${field}`, message: 'is required: the caller is no member of the tenant' },
  ])
}
