import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { PlatformLog } from '../audit/control-plane.ts'
import { describeRequest, isAudited, withFailure } from '../audit/entry.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { Limiter } from '../limiting/limiter.ts'
import type { Quotas } from '../limiting/quotas.ts'
import { type Gatekeeper, unauthenticated } from './access.ts'
import { auditOutside, changeAudited, finish, noteFailure } from './audited.ts'
import { admitted, requireAccess } from './require-access.ts'
import type { Resolution } from './resolution.ts'
import type { InApplication, InTenant, Route } from './route.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route was declared as; absent in routes of plugins. */
    readonly declared?: Route
  }
}

export interface MountOptions {
  readonly gatekeeper: Gatekeeper
  readonly resolution: Resolution
  readonly tenancy: Tenants
  readonly jobs: Pick<Jobs, 'within'>
  readonly limiter: Limiter
  /** Where it is written down what happens outside of tenants. */
  readonly platformLog: PlatformLog
  readonly quotas: Quotas
}

/** What the application needs of the engine to answer requests. */
export interface Tenants {
  tenant(
    key: string,
    options?: {
      readonly actor?: { readonly id: string; readonly role: string }
      readonly statementTimeoutMs?: number
      readonly prepare?: boolean
    },
  ): TenantHandle<TenantTables>
}

/** Where a tenant's routes are: by path in two ways, and at the root for all other ways of naming a tenant. */
const tenantPrefixes = ['/t/:slug', '/teams/:team', ''] as const

/** Makes Fastify routes of declared ones. */
export function mountRoutes(app: FastifyInstance, routes: readonly Route[], options: MountOptions): void {
  for (const route of routes) {
    const prefixes = route.scope === 'tenant' ? tenantPrefixes : ['']
    const mount = (scope: FastifyInstance) => {
      for (const prefix of prefixes) mountRoute(scope, route, prefix, options)
    }
    if (route.rawBody === true) mountRaw(app, mount)
    else mount(app)
  }
}

/** In a scope of its own, where nothing reads bodies. */
function mountRaw(app: FastifyInstance, mount: (scope: FastifyInstance) => void): void {
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body))
    mount(scope)
    done()
  })
}

function mountRoute(app: FastifyInstance, route: Route, prefix: string, options: MountOptions): void {
  const { method, path, params, query, body, answers, bodyBytesMax } = route
  const response = Object.fromEntries(Object.entries(answers).filter(([, schema]) => schema !== null))
  app.route({
    method,
    url: prefix + path,
    ...(bodyBytesMax === undefined ? {} : { bodyLimit: bodyBytesMax }),
    config: { declared: route },
    schema: {
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(body && { body }),
      ...(Object.keys(response).length > 0 && { response }),
      // The document shows each route once.
      hide: route.scope === 'tenant' && prefix !== tenantPrefixes[0],
    },
    // Before the body is read: whoever may not come in need not be listened to.
    onRequest: (request, reply) => enter(request, reply, route, options),
    ...(route.rate === 'sign-in' && {
      preHandler: (request: FastifyRequest, reply: FastifyReply) =>
        options.limiter.countAttempt(request, reply, admitted(request).caller),
    }),
    handler: (request, reply) => {
      const { tenant } = admitted(request)
      const work = () => answer(request, reply, route, options)
      if (tenant === null) return work()
      const adding = () =>
        route.adds === undefined ? work() : options.quotas.within(tenant, route.adds(request.body), work)
      return options.limiter.run(tenant, adding)
    },
  })
}

async function enter(
  request: FastifyRequest,
  reply: FastifyReply,
  route: Route,
  options: MountOptions,
): Promise<void> {
  try {
    await requireAccess(request, reply, route, options)
  } catch (error) {
    const { standing, caller } = admitted(request)
    if (standing !== null && isAudited(route)) {
      const entry = withFailure(describeRequest(request, route, caller), error, request)
      await noteFailure(options.tenancy.tenant(standing.tenantId), entry, {
        request,
        platformLog: options.platformLog,
      })
    }
    throw error
  }
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  route: Route,
  options: MountOptions,
): Promise<unknown> {
  const { tenancy, jobs, limiter } = options
  reply.status(route.status)
  const { params, query, body } = request
  const { caller, standing, key, tenant: limited } = admitted(request)
  const asked = { params, query, body, request, reply, caller }
  if (route.scope === 'application') {
    const work = (audit: InApplication['audit']) => route.handle({ ...asked, audit })
    return finish(
      reply,
      isAudited(route) ? await auditOutside(request, route, work, options) : await work(() => undefined),
    )
  }
  const actor = caller && standing && { id: caller.id, role: standing.role }
  const tenant = tenancy.tenant(standing?.tenantId ?? key, {
    ...(actor && { actor }),
    prepare: true,
    ...(limited && limiter.handleOptions(limited)),
  })
  const enqueuing = jobs.within(tenant.key)
  const inTenant: InTenant = {
    ...asked,
    standing,
    here: () => {
      if (standing === null) throw unauthenticated()
      return standing
    },
    tenant,
    db: tenant.kysely,
    inTransaction: (work, how) => tenant.transaction(({ kysely }) => work(kysely), how),
    enqueue: enqueuing.enqueue,
    changeJobs: enqueuing.promise,
  }
  const answered = isAudited(route)
    ? await changeAudited(inTenant, route, options.platformLog)
    : finish(reply, await route.handle(inTenant))
  // What was committed is found all the same, only later.
  await enqueuing
    .announce()
    .catch((error: unknown) => request.log.warn({ err: error }, 'jobs were not announced'))
  return answered
}
