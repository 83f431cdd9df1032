import { QuickScaleError, resolveFromHost, resolveFromPath, type TenantResolver } from '@quickscale/tenancy'
import type { FastifyRequest } from 'fastify'
import type { Caller } from './access.ts'

/** The ways in which a request can name its tenant. */
export const resolutionWays = [
  /** `/t/<slug or id>`, `/teams/<slug or id>` */
  'path',
  /** `<slug>.<base domain>` */
  'subdomain',
  /** The header `x-tenant`. */
  'header',
  /** The tenant that a token or an API key is bound to. */
  'credential',
] as const
export type ResolutionWay = (typeof resolutionWays)[number]

export interface Resolution {
  /**
   * @returns the key of the tenant that the request names
   * @throws QuickScaleError `TENANT_MISSING`, `TENANT_AMBIGUOUS`
   */
  resolve(request: FastifyRequest, caller: Caller | null): Promise<string>
}

export interface ResolutionOptions {
  /** Asked in this order; the first one that knows a tenant counts. @defaultValue all of them, as above */
  readonly order?: readonly ResolutionWay[]
  /** Below which tenants have host names. @defaultValue `localhost` */
  readonly baseDomain?: string
}

/**
 * What a request says of its own (path, host name, header) must agree: no way wins over another one that says something
 * else. What the caller's credential says only fills the gap; that a credential is good for one tenant only is checked
 * where membership is.
 */
export function createResolution({
  order = resolutionWays,
  baseDomain = 'localhost',
}: ResolutionOptions): Resolution {
  const byPath = [resolveFromPath(), resolveFromPath({ prefix: 'teams' })]
  const byHost = resolveFromHost({ baseDomain })
  const said: Readonly<Record<Exclude<ResolutionWay, 'credential'>, (request: FastifyRequest) => string[]>> =
    {
      path: (request) => ask(byPath, request),
      subdomain: (request) => ask([byHost], request),
      header: ({ headers }) => [headers['x-tenant'] ?? []].flat(),
    }
  return {
    async resolve(request, caller) {
      assertOrdinary(request)
      const keys = new Set<string>()
      for (const way of order) {
        if (way !== 'credential') for (const key of said[way](request)) keys.add(key)
      }
      const [key, ...others] = keys
      if (others.length > 0) throw new QuickScaleError('TENANT_AMBIGUOUS', { keys: [...keys].join(', ') })
      const bound = order.includes('credential') ? (caller?.tenantId ?? undefined) : undefined
      const found = key ?? bound
      if (found === undefined) throw new QuickScaleError('TENANT_MISSING')
      return found
    },
  }
}

function ask(resolvers: readonly TenantResolver[], { url, host }: FastifyRequest): string[] {
  return resolvers.map((resolve) => resolve({ path: url, host })).filter((key) => key !== null)
}

/** `GET http://other/t/acme` names a second host, which Fastify's router drops and nothing else compares. */
function assertOrdinary({ url }: FastifyRequest): void {
  if (url.startsWith('/')) return
  throw new QuickScaleError('TENANT_AMBIGUOUS', {
    keys: 'an absolute request target beside the Host header',
  })
}
