import { randomUUID } from 'node:crypto'
import type { MoveWatch, Tenancy, WatchOptions } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { type Application, defineApplication } from './application.ts'
import { createPlatformLog } from './audit/control-plane.ts'
import { Deliveries } from './deliveries.ts'
import type { Gatekeeper } from './http/access.ts'
import { createCursorCodec } from './http/cursor.ts'
import { tagAnswers } from './http/etag.ts'
import { createGate } from './http/gate.ts'
import { healthRoutes, refuseUnderPressure } from './http/health.ts'
import { readRequests } from './http/incoming.ts'
import { mountRoutes } from './http/mount.ts'
import { documentRoutes } from './http/openapi.ts'
import { type ConstraintMeanings, sendProblem } from './http/problem.ts'
import { ProblemError } from './http/problem-error.ts'
import { createResolution, type ResolutionOptions } from './http/resolution.ts'
import { secureAnswers } from './http/security.ts'
import { answerUnreadable, watchAnswers } from './http/unreadable.ts'
import { watchImpersonation } from './http/watched.ts'
import { createJobs, type Jobs } from './jobs/jobs.ts'
import { Worker, type WorkerOptions, type WorkerSurroundings } from './jobs/worker.ts'
import { createLimiter } from './limiting/limiter.ts'
import type { LimitOptions } from './limiting/options.ts'
import { Quotas } from './limiting/quotas.ts'
import { limits } from './limits.ts'
import type { Mailer } from './mail/mailer.ts'
import type { Services } from './modules/module.ts'
import { deriveKey } from './secrets.ts'

export interface AppOptions {
  readonly tenancy: Tenancy<TenantTables>
  /** @defaultValue every module with its defaults */
  readonly application?: Application
  /** What cursors, sessions and tokens are sealed with: 32 bytes, the same in every process. */
  readonly secret: Uint8Array
  /** Where the application is reached, without a path: `https://app.example.com`. Under https cookies are `Secure`. */
  readonly baseUrl: string
  /** Where the pages are that mails lead to: `verify-email`, `change-email`, `reset-password`, `accept-invitation`. @defaultValue baseUrl */
  readonly appUrl?: string
  readonly mailer: Mailer
  /**
   * Addresses of proxies whose `X-Forwarded-*` headers say who calls, and by which host name: Fastify's `trustProxy`.
   * @defaultValue none
   */
  readonly trustProxy?: string | readonly string[]
  /** Origins of web pages elsewhere that may call the API with the visitor's session. @defaultValue none */
  readonly origins?: readonly string[]
  readonly resolution?: ResolutionOptions
  /** Another way to know callers and members than the modules `auth` and `teams`. @defaultValue those */
  readonly gatekeeper?: Gatekeeper
  /** See {@link createLogger}. @defaultValue nothing is logged */
  readonly logger?: FastifyBaseLogger
  /**
   * Whether this process works on jobs. A process for nothing else is `await (await buildApp(options)).ready()`, without `listen`.
   * @defaultValue it does, on four at once
   */
  readonly worker?: WorkerOptions | false
  /**
   * Whether this process takes up moves of tenants that another process has left behind; see {@link Moves.watch}.
   * @defaultValue it does when it works on jobs, on four at once, with a quarter of the time
   */
  readonly moves?: Pick<WatchOptions, 'copyShare'> | boolean
  /** How much tenants, users and addresses may ask. @defaultValue enough for people, for every plan the same */
  readonly limits?: LimitOptions
  /** Milliseconds that the event loop may be late before requests are refused; 0 for ever. @defaultValue 2000 */
  readonly eventLoopDelayMsMax?: number
}

/**
 * Builds the server of an application: the routes of its modules below `/t/:slug` and `/teams/:team`, and at the root for
 * requests that name their tenant otherwise. Nobody gets in but whom `auth` knows and `teams` admits.
 *
 * @example
 * const app = await buildApp({ tenancy, application, secret, baseUrl, mailer: createSmtpMailer({ url, from }) })
 * await app.listen({ host: '0.0.0.0', port: 3000 })
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { tenancy, application = defineApplication(), origins = [] } = options
  const constraints = application.modules.map((module) => module.constraints)
  const app = createServer(options, Object.assign({}, ...constraints))
  await secureAnswers(app, { origins })
  readRequests(app)
  watchAnswers(app)
  await refuseUnderPressure(app, options.eventLoopDelayMsMax)
  tagAnswers(app)
  await documentRoutes(app, options)
  const jobs = createJobs(tenancy)
  const services = createServices(app, options, jobs)
  const gatekeeper = options.gatekeeper ?? services.gate
  watchImpersonation(app, { tenancy, platformLog: services.platformLog })
  const mount = {
    gatekeeper,
    tenancy,
    jobs,
    limiter: createLimiter(tenancy, options.limits),
    platformLog: services.platformLog,
    quotas: services.quotas,
    resolution: createResolution(options.resolution ?? {}, services.gate),
  }
  mountRoutes(app, healthRoutes(app, { check: () => tenancy.tenants.list({ limit: 1 }) }), mount)
  // Each in a scope of its own: what a module adds to Fastify is its own affair.
  for (const { routes } of application.modules) {
    // Out here what a module refuses of its options is thrown to the caller.
    const declared = routes(services)
    await app.register((scope, _options, done) => {
      mountRoutes(scope, declared, mount)
      done()
    })
  }
  if (options.worker !== false)
    startWorker(app, options.worker ?? {}, {
      tenancy,
      queue: jobs.queue,
      jobs: application.modules.flatMap((module) => module.jobs(services)),
      log: app.log,
    })
  const { moves = options.worker !== false } = options
  if (moves !== false) watchMoves(app, tenancy, moves === true ? {} : moves)
  return app
}

/** What it has taken up others go on with when it ends. */
function watchMoves(app: FastifyInstance, tenancy: AppOptions['tenancy'], options: WatchOptions): void {
  let watch: MoveWatch | null = null
  app.addHook('onReady', async () => {
    watch = tenancy.moves.watch({
      ...options,
      onResumed: ({ id, state }) =>
        app.log.info({ move: id, state }, 'a move that was left behind was brought on'),
      onFailed: ({ move, error }) => app.log.warn({ move, err: error }, 'left moves were not brought on'),
    })
  })
  app.addHook('preClose', async () => await watch?.close())
}

/** Jobs are begun once everything is ready, and ended before anything else is. */
function startWorker(app: FastifyInstance, options: WorkerOptions, surroundings: WorkerSurroundings): void {
  const worker = new Worker(surroundings, options)
  app.addHook('onReady', async () => worker.start())
  app.addHook('preClose', () => worker.stop())
}

function createServices(app: FastifyInstance, options: AppOptions, jobs: Jobs): Services {
  const { tenancy, secret, baseUrl, mailer, origins = [] } = options
  const deliveries = new Deliveries(tenancy.members, app.log)
  app.addHook('onClose', () => deliveries.close())
  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort())
  return {
    tenancy,
    baseUrl,
    appUrl: options.appUrl ?? baseUrl,
    mailer,
    deliveries,
    jobs,
    cursors: createCursorCodec(deriveKey(secret, 'cursor')),
    gate: createGate(),
    origins: new Set([new URL(baseUrl).origin, ...origins]),
    log: app.log,
    platformLog: createPlatformLog(tenancy),
    invitedSignUps: [],
    beforeDeletion: [],
    onDeletion: [],
    beforeAdding: [],
    ...createQuotas(app),
    closing: closing.signal,
    deriveSecret: (purpose) => Buffer.from(deriveKey(secret, purpose)).toString('base64url'),
    inBackground: createBackground(app),
  }
}

function createQuotas(app: FastifyInstance): Pick<Services, 'gauges' | 'quotas'> {
  const gauges: Services['gauges'] = new Map()
  const quotas = new Quotas(gauges, (passed) => app.log.warn(passed, 'a tenant has more than its soft limit'))
  return { gauges, quotas }
}

function createBackground(app: FastifyInstance): Services['inBackground'] {
  const running = new Set<Promise<unknown>>()
  const waiting: (() => Promise<unknown>)[] = []
  let ready = false
  const start = (work: () => Promise<unknown>) => {
    const ended = work()
      .catch((error: unknown) => app.log.error({ err: error }, 'work beside the requests has failed'))
      .finally(() => running.delete(ended))
    running.add(ended)
  }
  app.addHook('onReady', async () => {
    ready = true
    for (const work of waiting.splice(0)) start(work)
  })
  app.addHook('onClose', async () => void (await Promise.all(running)))
  return (work) => {
    if (ready) start(work)
    else waiting.push(work)
  }
}

function createServer({ logger, trustProxy }: AppOptions, meanings: ConstraintMeanings): FastifyInstance {
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    bodyLimit: limits.bodyBytesMax,
    ...(trustProxy !== undefined && { trustProxy: [trustProxy].flat() }),
    forceCloseConnections: 'idle',
    http: { requireHostHeader: false },
    requestTimeout: limits.requestMs,
    clientErrorHandler: answerUnreadable,
    genReqId: () => randomUUID(),
    // For requests that never reach a route: no hook has run for them.
    frameworkErrors: (error, request, reply) => {
      reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' })
      sendProblem(error, request, reply, meanings)
    },
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, meanings))
  app.setNotFoundHandler((request) => {
    throw new ProblemError(404, 'ROUTE_UNKNOWN', `There is no ${request.method} at this address`)
  })
  return app
}
