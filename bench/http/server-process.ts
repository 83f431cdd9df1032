/**
 * Serves the application twice in one process: on the tenancy, and on plain tables without it. Everything else is the
 * same: who calls, what they are in the tenant, limits, routes and statements. And once more on the tenancy, with the usual
 * limits.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { createTenancy, type Tenancy, type TenancyConfig, type TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { buildApp } from '../../packages/server/src/app.ts'
import { defineApplication } from '../../packages/server/src/application.ts'
import { createFileMailer, type LimitOptions } from '../../packages/server/src/index.ts'
import { connectionsPerPool, idleMs } from '../installation.ts'

/** What the process is told to serve. */
export interface HttpServerOrder {
  readonly config: TenancyConfig
  /** Of the database with the plain tables. */
  readonly plainUrl: string
}

/** Where it does. */
export interface HttpServerPorts {
  readonly tenancy: number
  readonly plain: number
  readonly limited: number
  /** Nothing but refusals, as cheap as they can be. */
  readonly refusing: number
}

process.once('message', async (order: HttpServerOrder) => {
  const tenancy = await createTenancy<TenantTables>(order.config as TenancyConfig<TenantHandle<TenantTables>>)
  const pool = new pg.Pool({
    connectionString: order.plainUrl,
    max: connectionsPerPool,
    idleTimeoutMillis: idleMs,
  })
  const ports: HttpServerPorts = {
    tenancy: await serve(tenancy, unlimited),
    plain: await serve(withPlain(tenancy, pool), unlimited),
    limited: await serve(tenancy, {}),
    refusing: await refuse(),
  }
  process.send?.(ports)
})
// Its parent is gone.
process.once('disconnect', () => process.exit())

/** The same tenancy, but rows are those of the pool's database, whatever the tenant. Its statements are prepared too. */
function withPlain(tenancy: Tenancy<TenantTables>, pool: pg.Pool): Tenancy<TenantTables> {
  const names = new Map<string, string>()
  const prepared = (text: string, values: unknown[]) => {
    const name = names.get(text) ?? `plain_${names.size}`
    names.set(text, name)
    return { name, text, values }
  }
  const query = (text: string, values: unknown[]) => pool.query(prepared(text, values))
  const connect = async () => {
    const client = await pool.connect()
    return {
      query: (text: string, values: unknown[]) => client.query(prepared(text, values)),
      release: () => client.release(),
    } as unknown as PostgresPoolClient
  }
  const preparing = { connect, end: async () => undefined, options: {} }
  const kysely = new Kysely<TenantTables>({ dialect: new PostgresDialect({ pool: preparing }) })
  return { ...tenancy, tenant: (key) => ({ key, kysely, query }) as unknown as TenantHandle<TenantTables> }
}

/** The same limits for both, which nobody reaches. */
const plan = { requestsPerSecond: 100_000, concurrent: 100 }
const unlimited: LimitOptions = {
  plans: { rls: plan, schema: plan, database: plan },
  user: { requestsPerSecond: 100_000 },
}

async function serve(tenancy: Tenancy<TenantTables>, limits: LimitOptions): Promise<number> {
  const app = await buildApp({
    tenancy,
    application: defineApplication(),
    secret: new Uint8Array(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(tmpdir()),
    eventLoopDelayMsMax: 0,
    worker: false,
    limits,
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return portOf(app.server)
}

async function refuse(): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(429).end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return portOf(server)
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
