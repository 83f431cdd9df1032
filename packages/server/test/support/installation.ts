import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Strategy, Tenancy, TenancyConfig } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { openTestTenancy } from '@quickscale/tenancy/testing'
import type { FastifyInstance } from 'fastify'
import { type AppOptions, buildApp } from '../../src/app.ts'
import { type Application, defineApplication } from '../../src/application.ts'
import { createFileMailer, type LimitOptions } from '../../src/index.ts'
import type { ModulesConfig } from '../../src/modules/configure.ts'
import type { Module } from '../../src/modules/module.ts'
import { openGate } from './open-gate.ts'

export interface TestInstallation {
  readonly app: FastifyInstance
  readonly tenancy: Tenancy<TenantTables>
  /** Directory of the mails that were sent. */
  readonly outbox: string
  /** Ends the server and starts another one, as a deployment does; returns it. */
  restart(): Promise<FastifyInstance>
  /** What another process needs to open the same installation. */
  readonly config: Pick<TenancyConfig, 'databaseUrl' | 'installation' | 'masterKey' | 'migrations' | 'plans'>
  /** A further server of the same application; to be closed before `remove`. */
  open(further?: Partial<Pick<AppOptions, 'moves' | 'baseUrl'>>): Promise<FastifyInstance>
  /** Ends the connections and removes the databases and roles. */
  remove(): Promise<void>
}

interface TestOptions {
  /** Callers have to be known, and members; otherwise everyone is the owner of everything. */
  readonly closed?: boolean
  /** Options of the module. */
  readonly auth?: object
  readonly teams?: object
  /** Options of the worker. @defaultValue no jobs are worked on */
  readonly worker?: AppOptions['worker']
  /** Further modules. */
  readonly modules?: readonly Module[]
  /** Slugs of tenants under the strategy. @defaultValue `one` and `two` */
  readonly tenants?: readonly string[]
  readonly billing?: object
  /** @defaultValue so much that nobody reaches it */
  readonly limits?: LimitOptions
}

const plenty = { requestsPerSecond: 1_000_000, concurrent: 1_000 }
const unlimited: LimitOptions = {
  plans: { only: plenty, rls: plenty, schema: plenty, database: plenty },
  user: { requestsPerSecond: 1_000_000 },
  address: { requestsPerSecond: 1_000_000 },
  signIn: { perAddress: 1_000_000, perAccount: 1_000_000 },
}

const plans = {
  rls: { strategy: 'rls' },
  schema: { strategy: 'schema' },
  database: { strategy: 'database' },
  nowhere: { strategy: 'database', placement: { labels: ['nowhere'] } },
} as const

/** The application on an installation of its own, with tenants under the strategy. */
export async function installApplication(
  databaseUrl: string,
  strategy: Strategy,
  {
    closed = false,
    auth = {},
    teams = {},
    billing = {},
    worker = false,
    modules = [],
    tenants = ['one', 'two'],
    limits = unlimited,
  }: TestOptions = {},
): Promise<TestInstallation> {
  const application = createTestApplication(
    { crm: {}, blog: {}, auth: { rateLimit: false, ...auth }, teams, billing },
    modules,
  )
  const { migrations } = application
  const given = { databaseUrl, migrations, plans: { ...plans, only: { strategy } } }
  const opened = await openTestTenancy<TenantTables>({
    ...given,
    seed: (tenant) => application.seed(tenant),
    connections: { perDatabase: 4, perSilo: 2 },
  })
  const { tenancy } = opened
  const config = { ...given, ...opened.config }
  const outbox = join(tmpdir(), config.installation)
  await application.migrate(tenancy)
  for (const slug of tenants) await tenancy.tenants.create({ slug, name: slug, plan: 'only' })
  const options: AppOptions = {
    tenancy,
    application,
    ...(closed ? {} : { gatekeeper: openGate }),
    secret: randomBytes(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(outbox),
    worker,
    // Other test files share the machine.
    eventLoopDelayMsMax: 0,
    limits,
  }
  let app = await buildApp(options)
  return {
    get app() {
      return app
    },
    tenancy,
    outbox,
    config,
    async restart() {
      await app.close()
      app = await buildApp(options)
      return app
    },
    async open(further = {}) {
      const another = await buildApp({ ...options, ...further })
      await another.ready()
      return another
    },
    async remove() {
      await app.close()
      await opened.close()
      await rm(outbox, { recursive: true, force: true })
    },
  }
}

/** The application with further modules, without options, that only tests have. */
export function createTestApplication(config: ModulesConfig, further: readonly Module[]): Application {
  const application = defineApplication({ modules: config })
  const configured = further.map((module) => {
    const result = module.configure({})
    if (result.success) return result.data
    throw result.error
  })
  return { ...application, modules: [...application.modules, ...configured] }
}
