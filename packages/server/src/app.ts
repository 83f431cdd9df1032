import { randomUUID } from 'node:crypto'
import { resolveFromHost, resolveFromPath, type TenantHandle } from '@quickscale/tenancy'
import { type TenantTables, tenantPlugin } from '@quickscale/tenancy/fastify'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { liveness } from './api/index.ts'
import { createCursorCodec } from './http/cursor.ts'
import { DEMO_HEADER, DEMO_NOTICE, guardLoopback } from './http/loopback.ts'
import { type ConstraintMeanings, sendProblem } from './http/problem.ts'
import { ProblemError } from './http/problem-error.ts'
import { modules } from './modules/index.ts'

export interface AppOptions {
  readonly tenancy: { tenant(key: string): TenantHandle<TenantTables> }
  /** Seals page cursors; 32 bytes, the same in every process that serves the same callers. */
  readonly cursorKey: Uint8Array
  /**
   * Fastify's logger.
   * @defaultValue false
   */
  readonly logger?: FastifyServerOptions['logger']
}

/** Under which tenants have host names of their own: `acme.localhost`. */
const BASE_DOMAIN = 'localhost'
const BODY_BYTES_MAX = 1024 * 1024

/**
 * Builds the application: every module once under `/t/:slug` and once at the root of `<slug>.localhost`.
 *
 * @example
 * const app = await buildApp({ tenancy, cursorKey: randomBytes(32) })
 * await app.listen({ host: '127.0.0.1', port: 3000 })
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const meanings: ConstraintMeanings = Object.assign({}, ...modules.map(({ constraints }) => constraints))
  const app = fastify({
    logger: options.logger ?? false,
    bodyLimit: BODY_BYTES_MAX,
    genReqId: () => randomUUID(),
    // For requests that never reach a route: no hook has run for them.
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply.header(DEMO_HEADER, DEMO_NOTICE), meanings)
    },
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.removeContentTypeParser('text/plain')
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, meanings))
  guardLoopback(app)
  app.addHook('onRequest', (_request, reply, next) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    next()
  })
  await app.register(tenantPlugin, {
    tenancy: options.tenancy,
    resolvers: [resolveFromPath(), resolveFromHost({ baseDomain: BASE_DOMAIN })],
  })
  app.setNotFoundHandler((request) => {
    throw new ProblemError(404, 'ROUTE_UNKNOWN', `There is no ${request.method} at this address`)
  })
  app.get('/livez', { schema: { response: { 200: liveness } } }, () => ({ status: 'ok' as const }))
  const cursors = createCursorCodec(options.cursorKey)
  for (const { routes } of modules) {
    await app.register(routes, { prefix: '/t/:slug', cursors })
    await app.register(routes, { cursors })
  }
  return app
}
