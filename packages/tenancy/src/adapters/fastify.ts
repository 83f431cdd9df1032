import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import { QuickScaleError } from '../errors.ts'
import { type RequestDescription, resolveTenant, type TenantResolver } from '../resolve/resolver.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'

/**
 * The tables behind `request.tenant.kysely`; the application adds its own.
 *
 * @example
 * declare module '@quickscale/tenancy/fastify' {
 *   interface TenantTables { contacts: ContactTable }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: declaration merging fills it
export interface TenantTables {}

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The tenant this request names.
     *
     * @throws QuickScaleError `TENANT_MISSING` when it names none.
     */
    readonly tenant: TenantHandle<TenantTables>
  }
}

export interface TenantPluginOptions {
  /** What `createTenancy` returned. */
  readonly tenancy: { tenant(key: string): TenantHandle<TenantTables> }
  /** All of them are asked; two different answers refuse the request with `TENANT_AMBIGUOUS`. */
  readonly resolvers: readonly TenantResolver[]
}

/**
 * Gives every request of a Fastify 5 application its tenant. Nothing is looked up here: an unknown tenant surfaces
 * as `TENANT_NOT_FOUND` with its first query. Errors carry `status`, which Fastify answers with.
 *
 * @example
 * await app.register(tenantPlugin, { tenancy, resolvers: [resolveFromPath()] })
 * app.get('/t/:slug/contacts', (request) => request.tenant.kysely.selectFrom('contacts').selectAll().execute())
 */
export const tenantPlugin: FastifyPluginCallback<TenantPluginOptions> = (app, options, done) => {
  const handles = new WeakMap<FastifyRequest, TenantHandle<TenantTables>>()
  app.decorateRequest('tenant', {
    getter(this: FastifyRequest) {
      const handle = handles.get(this)
      if (handle === undefined) throw new QuickScaleError('TENANT_MISSING')
      return handle
    },
  })
  app.addHook('onRequest', (request, _reply, next) => {
    const key = resolveTenant(options.resolvers, describe(request))
    if (key !== null) handles.set(request, options.tenancy.tenant(key))
    next()
  })
  done()
}

/** `GET http://other/t/acme` names a second host, which Fastify's router drops and nothing else compares. */
function describe(request: FastifyRequest): RequestDescription {
  if (!request.url.startsWith('/') && request.url !== '*') {
    throw new QuickScaleError('TENANT_AMBIGUOUS', {
      keys: 'an absolute request target beside the Host header',
    })
  }
  return { path: request.url, host: request.host }
}

// What fastify-plugin does: the hook and the decorator belong to the application, not to this plugin's own scope.
Object.assign(tenantPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@quickscale/tenancy/fastify',
})
