import { QuickScaleError, resolveFromHost, resolveFromPath, type TenantResolver } from '@quickscale/tenancy'
import type { FastifyRequest } from 'fastify'
import type { Caller } from './access.ts'
import { readSelection } from './selected-organization.ts'

/** The ways in which a request can name its tenant. */
export const resolutionWays = [
  /** `/t/<slug or id>`, `/teams/<slug or id>` */
  'path',
  /** `<slug>.<base domain>` */
  'subdomain',
  /** A host name that the tenant has proved to be its own. */
  'domain',
  /** The header `x-tenant`. */
  'header',
  /** The tenant that a token or an API key is bound to. */
  'credential',
  /** The organization that the user of a session has selected. */
  'selection',
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

interface Hosts {
  findHost(host: string): Promise<string | null>
}

/**
 * What a request says of its own (path, host name, header) must agree: no way wins over another one that says something
 * else. What the caller's credential or selection says only fills the gap; that a credential is good for one tenant only is
 * checked where membership is. A slug and an id are different words, even for the same tenant.
 */
export function createResolution(
  { order = resolutionWays, baseDomain = 'localhost' }: ResolutionOptions,
  { findHost }: Hosts,
): Resolution {
  const byPath = [resolveFromPath(), resolveFromPath({ prefix: 'teams' })]
  const byHost = resolveFromHost({ baseDomain })
  const said: Readonly<Partial<Record<ResolutionWay, Sayings>>> = {
    path: (request) => ask(byPath, request),
    subdomain: (request) => ask([byHost], request),
    domain: async ({ hostname }) => [await findHost(hostname.toLowerCase())].filter((id) => id !== null),
    header: ({ headers }) => [headers['x-tenant'] ?? []].flat(),
  }
  const implied: Readonly<Partial<Record<ResolutionWay, Implication>>> = {
    credential: (_request, caller) => caller?.tenantId ?? null,
    selection: (request, caller) => (caller?.kind === 'session' ? readSelection(request) : null),
  }
  return {
    async resolve(request, caller) {
      assertOrdinary(request)
      const keys = new Set<string>()
      for (const way of order) for (const key of (await said[way]?.(request)) ?? []) keys.add(key)
      const [key, ...others] = keys
      if (others.length > 0) throw new QuickScaleError('TENANT_AMBIGUOUS', { keys: [...keys].join(', ') })
      const gap = order.map((way) => implied[way]?.(request, caller) ?? null)
      const found = key ?? gap.find((each) => each !== null)
      if (found === undefined) throw new QuickScaleError('TENANT_MISSING')
      return found
    },
  }
}

type Sayings = (request: FastifyRequest) => string[] | Promise<string[]>
type Implication = (request: FastifyRequest, caller: Caller | null) => string | null

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
