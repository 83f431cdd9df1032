import { ProblemError } from './problem-error.ts'

/** What a member may be in a tenant, the least first; each may what those before it may. */
export const roles = ['viewer', 'member', 'admin', 'owner'] as const
export type Role = (typeof roles)[number]

/** Who may call a route: anyone, whoever has signed in, or members of the tenant from this role on. */
export type Access = 'anyone' | 'user' | Role

/** How a caller has proved who they are. */
export type CallerKind = 'session' | 'token' | 'api-key' | 'client' | 'impersonation'

/** Whoever sends a request, once it is known. */
export interface Caller {
  readonly kind: CallerKind
  /** Sealed into the context of every statement: the user's id, or `client:<id>`. */
  readonly id: string
  /** Null for an API client, which belongs to a tenant and is nobody's. */
  readonly userId: string | null
  /** The only tenant that the credential is good for, if it is bound to one: its id. */
  readonly tenantId: string | null
  /** Of a session: its id. */
  readonly sessionId?: string
  /** The most that the credential allows, if it says so. */
  readonly roleMax: Role | null
  /** The operator who acts as the user, in the tenant of `tenantId` only: their id. */
  readonly impersonator?: string
  /** Which impersonation it is: its id. */
  readonly impersonationId?: string
}

/** What a caller is in one tenant. */
export interface Standing {
  readonly tenantId: string
  readonly role: Role
  /** Of the tenant, for its limits. @defaultValue none that is known */
  readonly plan?: string
}

/** Knows callers, and what they are where. */
export interface Gatekeeper {
  /** @returns null when the request carries no credential; throws `UNAUTHENTICATED` when it carries a bad one */
  identify(request: IdentifiedRequest): Promise<Caller | null>
  /** @returns null when there is no such tenant, or the caller is nobody in it: nobody can tell these apart */
  admit(key: string, caller: Caller): Promise<Standing | null>
}

/** What identification may look at. */
export interface IdentifiedRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export function isRole(value: string): value is Role {
  return roles.some((role) => role === value)
}

/** Whether a role is at least another one. */
export function reaches(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed)
}

/** The lesser of what somebody is and what their credential allows. */
export function lesser(role: Role, most: Role | null): Role {
  return most !== null && reaches(role, most) ? most : role
}

export const unauthenticated = () =>
  new ProblemError(401, 'UNAUTHENTICATED', 'Sign in, or send an API key or a token')

export const forbidden = (needed: Role) =>
  new ProblemError(403, 'ROLE_INSUFFICIENT', `This takes the role ${needed} in the tenant`)

/** The same for a tenant that is not there and for one that the caller has no part in. */
export const tenantUnknown = (key: string) => new ProblemError(404, 'TENANT_NOT_FOUND', `No tenant ${key}`)
