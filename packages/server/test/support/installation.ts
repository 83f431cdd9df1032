import { randomBytes } from 'node:crypto'
import { createTenancy, type Strategy, type Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance } from 'fastify'
import { dropInstallation } from '../../../../test/support/drop-installation.ts'
import { buildApp, defineApplication } from '../../src/app.ts'
import { openGate } from '../../src/demo/open-gate.ts'

export interface TestInstallation {
  readonly app: FastifyInstance
  readonly tenancy: Tenancy<TenantTables>
  /** Ends the connections and removes the databases and roles. */
  remove(): Promise<void>
}

/** The application on an installation of its own, with tenants `one` and `two` under the strategy. */
export async function installApplication(databaseUrl: string, strategy: Strategy): Promise<TestInstallation> {
  const installation = `http_${randomBytes(4).toString('hex')}`
  const application = defineApplication()
  const tenancy = await createTenancy<TenantTables>({
    databaseUrl,
    installation,
    masterKey: randomBytes(32).toString('base64'),
    migrations: application.migrations,
    plans: { only: { strategy } },
    seed: (tenant) => application.seed(tenant),
    connections: { perDatabase: 4, perSilo: 2 },
  })
  await tenancy.migrate()
  for (const slug of ['one', 'two']) await tenancy.tenants.create({ slug, name: slug, plan: 'only' })
  const app = await buildApp({
    tenancy,
    application,
    gatekeeper: openGate,
    cursorKey: randomBytes(32),
    // Other test files share the machine.
    eventLoopDelayMsMax: 0,
  })
  return {
    app,
    tenancy,
    async remove() {
      await app.close()
      await tenancy.close()
      await dropInstallation(databaseUrl, installation)
    },
  }
}
