import type { FastifyRequest } from 'fastify'
import {
  type Caller,
  forbidden,
  type Gatekeeper,
  isRole,
  lesser,
  reaches,
  type Standing,
  tenantUnknown,
  unauthenticated,
} from './access.ts'
import type { Resolution } from './resolution.ts'
import type { Route } from './route.ts'

/** Who was let in, and where. */
export interface Admitted {
  readonly caller: Caller | null
  readonly standing: Standing | null
  /** The tenant's key as the request names it; empty outside of tenants. */
  readonly key: string
}

const outside: Admitted = { caller: null, standing: null, key: '' }
const entries = new WeakMap<FastifyRequest, Admitted>()

/** What {@link requireAccess} found out. */
export function admitted(request: FastifyRequest): Admitted {
  return entries.get(request) ?? outside
}

/**
 * Lets a request in, or refuses it. The tenant is taken from the request, membership never: it is looked up.
 *
 * @throws ProblemError `UNAUTHENTICATED`, `ROLE_INSUFFICIENT`, `TENANT_NOT_FOUND`
 * @throws QuickScaleError `TENANT_MISSING`, `TENANT_AMBIGUOUS`, `TENANT_KEY_INVALID`
 */
export async function requireAccess(
  request: FastifyRequest,
  route: Pick<Route, 'scope' | 'access'>,
  { gatekeeper, resolution }: { readonly gatekeeper: Gatekeeper; readonly resolution: Resolution },
): Promise<void> {
  const { access, scope } = route
  const caller = access === 'anyone' ? null : await gatekeeper.identify(request)
  if (access !== 'anyone' && caller === null) throw unauthenticated()
  if (scope === 'application') {
    entries.set(request, { ...outside, caller })
    return
  }
  const key = await resolution.resolve(request, caller)
  if (caller === null) {
    entries.set(request, { ...outside, key })
    return
  }
  const found = await gatekeeper.admit(key, caller)
  if (found === null) throw tenantUnknown(key)
  const standing = { ...found, role: lesser(found.role, caller.roleMax) }
  if (isRole(access) && !reaches(standing.role, access)) throw forbidden(access)
  request.log = request.log.child({ tenant: standing.tenantId, caller: caller.id })
  entries.set(request, { caller, standing, key })
}
