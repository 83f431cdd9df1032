import { randomUUID } from 'node:crypto'
import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Gatekeeper } from './http/access.ts'
import { createCursorCodec } from './http/cursor.ts'
import { tagAnswers } from './http/etag.ts'
import { healthRoutes, refuseUnderPressure } from './http/health.ts'
import { DEMO_HEADER, DEMO_NOTICE, guardLoopback } from './http/loopback.ts'
import { mountRoutes, type Tenants } from './http/mount.ts'
import { documentRoutes } from './http/openapi.ts'
import { type ConstraintMeanings, sendProblem } from './http/problem.ts'
import { ProblemError } from './http/problem-error.ts'
import { createResolution, type ResolutionOptions } from './http/resolution.ts'
import { type SecurityOptions, secureAnswers } from './http/security.ts'
import { limits } from './limits.ts'
import { configureModules, type ModulesConfig } from './modules/configure.ts'
import { modules as available } from './modules/index.ts'
import type { ConfiguredModule } from './modules/module.ts'

/** The application before it is opened: what the engine has to know of its modules. */
export interface Application {
  readonly modules: readonly ConfiguredModule[]
  /** For `createTenancy({ migrations })`. */
  readonly migrations: readonly string[]
  /** Gives a new tenant the rows every module needs, for `createTenancy({ seed })`; idempotent. */
  seed(tenant: TenantHandle<TenantTables>): Promise<void>
}

/**
 * Chooses the modules of an application.
 *
 * @param manifest.modules options by module; those that are named, and those they need; all of them when none is named
 * @throws QuickScaleError `CONFIG_INVALID` naming what is wrong and, for an unknown key, the nearest known one
 * @example const application = defineApplication({ modules: { crm: { pipelineStages: ['New', 'Won'] } } })
 */
export function defineApplication(manifest: { readonly modules?: ModulesConfig } = {}): Application {
  const modules = configureModules(available, manifest.modules)
  return {
    modules,
    migrations: modules.map(({ migrations }) => migrations),
    seed: async (tenant) => {
      for (const module of modules) await module.seed(tenant)
    },
  }
}

export interface AppOptions {
  readonly tenancy: Tenants & { readonly tenants: { list(filter: { limit: number }): Promise<unknown> } }
  /** @defaultValue every module with its defaults */
  readonly application?: Application
  readonly gatekeeper: Gatekeeper
  /** Seals page cursors; 32 bytes, the same in every process that serves the same callers. */
  readonly cursorKey: Uint8Array
  readonly resolution?: ResolutionOptions
  readonly security?: SecurityOptions
  /** See {@link createLogger}. @defaultValue nothing is logged */
  readonly logger?: FastifyBaseLogger
  /** Milliseconds that the event loop may be late before requests are refused; 0 for ever. @defaultValue 2000 */
  readonly eventLoopDelayMsMax?: number
}

/**
 * Builds the server of an application: the routes of its modules below `/t/:slug` and `/teams/:team`, and at the root for
 * requests that name their tenant otherwise.
 *
 * @example
 * const app = await buildApp({ tenancy, application, gatekeeper, cursorKey: randomBytes(32) })
 * await app.listen({ host: '127.0.0.1', port: 3000 })
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { tenancy, application = defineApplication(), gatekeeper } = options
  const constraints = application.modules.map((module) => module.constraints)
  const app = createServer(options, Object.assign({}, ...constraints))
  guardLoopback(app)
  await secureAnswers(app, options.security)
  await refuseUnderPressure(app, options.eventLoopDelayMsMax)
  tagAnswers(app)
  await documentRoutes(app)
  const mount = { gatekeeper, tenancy, resolution: createResolution(options.resolution ?? {}) }
  const services = { cursors: createCursorCodec(options.cursorKey) }
  mountRoutes(app, healthRoutes(app, { check: () => tenancy.tenants.list({ limit: 1 }) }), mount)
  // Each in a scope of its own: what a module adds to Fastify is its own affair.
  for (const { routes } of application.modules) {
    await app.register((scope, _options, done) => {
      mountRoutes(scope, routes(services), mount)
      done()
    })
  }
  return app
}

function createServer({ logger }: AppOptions, meanings: ConstraintMeanings): FastifyInstance {
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    bodyLimit: limits.bodyBytesMax,
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    // For requests that never reach a route: no hook has run for them.
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply.header(DEMO_HEADER, DEMO_NOTICE), meanings)
    },
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.removeContentTypeParser('text/plain')
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, meanings))
  app.setNotFoundHandler((request) => {
    throw new ProblemError(404, 'ROUTE_UNKNOWN', `There is no ${request.method} at this address`)
  })
  return app
}
