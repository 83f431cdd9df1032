import type { FastifyReply, FastifyRequest } from 'fastify'
import type { LimitedTenant } from '../limiting/limited-tenant.ts'
import type { Limiter } from '../limiting/limiter.ts'
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
import { assertNotImpersonated, markImpersonated } from './impersonated.ts'
import type { Resolution } from './resolution.ts'
import type { Route } from './route.ts'

/** Who was let in, and where. */
export interface Admitted {
  readonly caller: Caller | null
  readonly standing: Standing | null
  /** The tenant's key as the request names it; empty outside of tenants. */
  readonly key: string
  /** Null outside of tenants. */
  readonly tenant: LimitedTenant | null
}

const outside: Admitted = { caller: null, standing: null, key: '', tenant: null }
const entries = new WeakMap<FastifyRequest, Admitted>()

/** What {@link requireAccess} found out. */
export function admitted(request: FastifyRequest): Admitted {
  return entries.get(request) ?? outside
}

interface Doors {
  readonly gatekeeper: Gatekeeper
  readonly resolution: Resolution
  readonly limiter: Limiter
}

/**
 * Lets a request in, or refuses it. The tenant is taken from the request, membership never: it is looked up.
 *
 * @throws ProblemError `UNAUTHENTICATED`, `ROLE_INSUFFICIENT`, `TENANT_NOT_FOUND`, `RATE_LIMITED`
 * @throws QuickScaleError `TENANT_MISSING`, `TENANT_AMBIGUOUS`, `TENANT_KEY_INVALID`
 */
export async function requireAccess(
  request: FastifyRequest,
  reply: FastifyReply,
  route: Pick<Route, 'scope' | 'access' | 'rate' | 'method' | 'impersonated'>,
  doors: Doors,
): Promise<void> {
  const { access, scope } = route
  const caller = await identify(request, reply, route, doors)
  if (scope === 'application') {
    assertNotImpersonated(route, caller)
    return
  }
  const key = await doors.resolution.resolve(request, caller)
  if (caller === null) {
    const tenant = await doors.limiter.findTenant(key)
    if (tenant === null) throw tenantUnknown(key)
    await doors.limiter.countTenant(tenant, reply, route)
    entries.set(request, { ...outside, key, tenant })
    return
  }
  const found = await doors.gatekeeper.admit(key, caller)
  if (found === null) throw tenantUnknown(key)
  const standing = { ...found, role: lesser(found.role, caller.roleMax) }
  request.log = request.log.child({
    tenant: standing.tenantId,
    caller: caller.id,
    ...(caller.impersonator !== undefined && { impersonator: caller.impersonator }),
  })
  const tenant = { id: standing.tenantId, plan: standing.plan ?? null }
  await doors.limiter.countTenant(tenant, reply, route)
  entries.set(request, { caller, standing, key, tenant })
  if (isRole(access) && !reaches(standing.role, access)) throw forbidden(access)
  assertNotImpersonated(route, caller)
}

/** Who calls; whoever is not known is counted by their address. */
async function identify(
  request: FastifyRequest,
  reply: FastifyReply,
  route: Pick<Route, 'access' | 'rate'>,
  { gatekeeper, limiter }: Doors,
): Promise<Caller | null> {
  if (route.access === 'anyone') {
    await limiter.countAddress(request, reply, route)
    return null
  }
  const caller = await gatekeeper.identify(request).catch(async (error: unknown) => {
    await limiter.countAddress(request, reply, route)
    throw error
  })
  if (caller === null) {
    await limiter.countAddress(request, reply, route)
    throw unauthenticated()
  }
  // Known before anything refuses them: what an operator is refused is written down too.
  entries.set(request, { ...outside, caller })
  markImpersonated(reply, caller)
  await limiter.countCaller(caller, reply, route)
  return caller
}
