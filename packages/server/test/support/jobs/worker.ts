/** A process that works on jobs, to be killed. It says `ready`, and ends with its input. */
import { tmpdir } from 'node:os'
import { createTenancy, type TenancyConfig } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { buildApp } from '../../../src/app.ts'
import { createFileMailer } from '../../../src/index.ts'
import { createTestApplication } from '../installation.ts'
import { openGate } from '../open-gate.ts'
import { probe } from './probe.ts'

const config: TenancyConfig = JSON.parse(process.env.TEST_INSTALLATION ?? 'null')
const tenancy = await createTenancy<TenantTables>({ ...config, migrations: [] })
const app = await buildApp({
  tenancy,
  application: createTestApplication({ crm: {} }, [probe]),
  gatekeeper: openGate,
  secret: new Uint8Array(32),
  baseUrl: 'http://localhost',
  mailer: createFileMailer(tmpdir()),
  eventLoopDelayMsMax: 0,
  worker: { concurrency: 1 },
})
await app.ready()
console.log('ready')
process.stdin.resume().on('end', async () => {
  await app.close()
  await tenancy.close()
})
