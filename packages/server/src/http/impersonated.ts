import type { FastifyReply } from 'fastify'
import type { Caller } from './access.ts'
import { ProblemError } from './problem-error.ts'
import type { Route } from './route.ts'

/** A header of every answer to an operator who acts as a user, for a banner that cannot be overlooked: the operator's id. */
export const IMPERSONATED_BY = 'quickscale-impersonated-by'

type Declared = Pick<Route, 'scope' | 'access' | 'method' | 'impersonated'>

/**
 * Whether an operator may do it who acts as a user. What is about the user themself (outside of tenants), what configures and what
 * gives away has to say so; whatever is added without thinking of it is refused.
 */
export function allowsImpersonation({ impersonated, scope, access, method }: Declared): boolean {
  if (impersonated !== undefined) return impersonated
  return scope === 'tenant' && (method === 'GET' || access === 'viewer' || access === 'member')
}

/** @throws ProblemError `IMPERSONATION_REFUSED` */
export function assertNotImpersonated(route: Declared, caller: Caller | null): void {
  if (caller?.impersonator === undefined || allowsImpersonation(route)) return
  throw new ProblemError(
    403,
    'IMPERSONATION_REFUSED',
    'Only the user may do this, not an operator who acts as them',
  )
}

export function markImpersonated(reply: FastifyReply, caller: Caller | null): void {
  if (caller?.impersonator !== undefined) reply.header(IMPERSONATED_BY, caller.impersonator)
}
