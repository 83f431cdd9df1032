import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTenancy, type Strategy, type Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance } from 'fastify'
import { dropInstallation } from '../../../../test/support/drop-installation.ts'
import { buildApp } from '../../src/app.ts'
import { defineApplication } from '../../src/application.ts'
import { createFileMailer } from '../../src/index.ts'
import { openGate } from './open-gate.ts'

export interface TestInstallation {
  readonly app: FastifyInstance
  readonly tenancy: Tenancy<TenantTables>
  /** Directory of the mails that were sent. */
  readonly outbox: string
  /** Ends the server and starts another one, as a deployment does; returns it. */
  restart(): Promise<FastifyInstance>
  /** Ends the connections and removes the databases and roles. */
  remove(): Promise<void>
}

interface TestOptions {
  /** Callers have to be known, and members; otherwise everyone is the owner of everything. */
  readonly closed?: boolean
  /** Options of the module. */
  readonly auth?: object
  readonly teams?: object
  /** Slugs of tenants under the strategy. @defaultValue `one` and `two` */
  readonly tenants?: readonly string[]
  readonly billing?: object
}

/** The application on an installation of its own, with tenants under the strategy. */
export async function installApplication(
  databaseUrl: string,
  strategy: Strategy,
  { closed = false, auth = {}, teams = {}, billing = {}, tenants = ['one', 'two'] }: TestOptions = {},
): Promise<TestInstallation> {
  const installation = `http_${randomBytes(4).toString('hex')}`
  const application = defineApplication({
    modules: { crm: {}, blog: {}, auth: { rateLimit: false, ...auth }, teams, billing },
  })
  const outbox = join(tmpdir(), installation)
  const tenancy = await createTenancy<TenantTables>({
    databaseUrl,
    installation,
    masterKey: randomBytes(32).toString('base64'),
    migrations: application.migrations,
    plans: {
      only: { strategy },
      rls: { strategy: 'rls' },
      schema: { strategy: 'schema' },
      database: { strategy: 'database' },
      nowhere: { strategy: 'database', placement: { labels: ['nowhere'] } },
    },
    seed: (tenant) => application.seed(tenant),
    connections: { perDatabase: 4, perSilo: 2 },
  })
  await application.migrate(tenancy)
  for (const slug of tenants) await tenancy.tenants.create({ slug, name: slug, plan: 'only' })
  const secret = randomBytes(32)
  const open = () =>
    buildApp({
      tenancy,
      application,
      ...(closed ? {} : { gatekeeper: openGate }),
      secret,
      baseUrl: 'http://localhost',
      mailer: createFileMailer(outbox),
      // Other test files share the machine.
      eventLoopDelayMsMax: 0,
    })
  let app = await open()
  return {
    get app() {
      return app
    },
    tenancy,
    outbox,
    async restart() {
      await app.close()
      app = await open()
      return app
    },
    async remove() {
      await app.close()
      await tenancy.close()
      await dropInstallation(databaseUrl, installation)
      await rm(outbox, { recursive: true, force: true })
    },
  }
}
