import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  type ConnectionsConfig,
  createTenancy,
  type Strategy,
  type Tenancy,
  type TenancyConfig,
} from '@quickscale/tenancy'
import pg from 'pg'
import { deriveSeal, sealToken } from '../packages/tenancy/src/session/token.ts'
import { tokenKeyOf } from '../packages/tenancy/src/strategies/token-keys.ts'
import { dropInstallation } from '../test/support/drop-installation.ts'
import { forEachConcurrently } from './measure.ts'

/** One of the tenants that queries are about. */
export interface BenchTenant {
  readonly id: string
  readonly slug: string
}

/** An installation made for one run, and dropped after it. */
export interface BenchInstallation {
  readonly name: string
  readonly tenancy: Tenancy
  /** Opens the same installation in another thread. */
  readonly config: TenancyConfig
  readonly tenants: Readonly<Record<Strategy, readonly BenchTenant[]>>
  /** The administrator's URL of the database that holds the tenants of a strategy, the first one's for `database`. */
  urlOf(strategy: Strategy): Promise<string>
  /** What the planner would do for the first tenant of a strategy, as an EXPLAIN in the tenant's own context says. */
  explain(strategy: Strategy, text: string, values: unknown[]): Promise<unknown>
  /** Applies further directories of migrations, as the next release of an application would. */
  migrate(directories: readonly string[]): Promise<void>
  /** Tidies the tables up and gives the planner its statistics, in every database that holds tenants. */
  vacuum(): Promise<void>
  drop(): Promise<void>
}

/** Every pool of a run has this size, ours and the baselines'. */
export const connectionsPerPool = 8

/** Longer than any run: no connection may be opened while something is timed. */
export const idleMs = 600_000

const strategies = ['rls', 'schema', 'database'] as const
const plansAndServers = {
  plans: Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
  // All schemas in one database, so that they compare; a database waits for who calls warm().
  refillWarmDatabases: false,
  servers: { primary: { warmDatabases: 1, caps: { schemasPerDatabase: 1_000_000 } } },
}
// Provisioning takes a lock on a connection of its own, and the library keeps ten for that.
const provisioningConcurrency = 8

/**
 * @param url administrator's URL; every connection of the installation goes to its host and port
 * @param migrations directories
 */
export async function install(
  url: string,
  counts: Readonly<Record<Strategy, number>>,
  onProgress: (done: number, total: number) => void,
  connections: ConnectionsConfig = {},
  migrations: readonly string[] = [join(import.meta.dirname, 'migrations')],
): Promise<BenchInstallation> {
  const name = `bench_${randomBytes(4).toString('hex')}`
  const config = {
    databaseUrl: url,
    installation: name,
    masterKey: randomBytes(32).toString('base64'),
    migrations,
    ...plansAndServers,
    connections: { perDatabase: connectionsPerPool, perSilo: connectionsPerPool, idleMs, ...connections },
  }
  const tenancy = await createTenancy(config)
  const drop = async () => {
    await tenancy.close()
    await dropInstallation(url, name)
  }
  try {
    await tenancy.migrate()
    const tenants = await provision(tenancy, counts, onProgress)
    const databaseUrlOf = async (tenant: BenchTenant | undefined) => {
      if (tenant === undefined) throw new RangeError('a strategy without tenants has no database')
      return withDatabase(url, (await tenancy.tenants.placement(tenant.slug)).databaseName)
    }
    return {
      name,
      tenancy,
      config,
      tenants,
      urlOf: (strategy) => databaseUrlOf(tenants[strategy][0]),
      async explain(strategy, text, values) {
        const [tenant] = tenants[strategy]
        const home = await databaseUrlOf(tenant)
        const { databaseId, epoch } = await tenancy.tenants.placement(tenant?.slug ?? '')
        const key = tokenKeyOf(Buffer.from(config.masterKey, 'base64'), databaseId)
        const seal = deriveSeal(key, tenant?.id ?? '', epoch)
        const { text: sent } = await tenancy.tenant(tenant?.slug ?? '').explainSql(text)
        // The library refuses EXPLAIN; the login role of a database has its name.
        return await asAdministrator(home, async (client) => {
          const login = client.escapeIdentifier(decodeURIComponent(new URL(home).pathname.slice(1)))
          await client.query(`set session authorization ${login}`)
          await client.query('begin')
          await client.query('select quickscale.enter($1, $2, $3)', [
            ...sealToken(seal, { actor: null, expiresAtMs: Date.now() + 60_000 }),
          ])
          return (await client.query(`explain (format json) ${sent}`, values)).rows[0]['QUERY PLAN']
        })
      },
      async migrate(directories) {
        const next = await createTenancy({ ...config, migrations: [...migrations, ...directories] })
        try {
          await next.migrate()
        } finally {
          await next.close()
        }
      },
      vacuum: async () =>
        vacuumAll(await Promise.all([tenants.rls[0], ...tenants.database].map(databaseUrlOf))),
      drop,
    }
  } catch (error) {
    await drop()
    throw error
  }
}

/** Runs `work` on a connection that no wall applies to. */
export async function asAdministrator<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function vacuumAll(homes: readonly string[]): Promise<void> {
  for (const home of homes) await asAdministrator(home, (client) => client.query('vacuum (analyze)'))
}

/** Opens all connections of all pools, which open them by and by: in what is counted later none is opened. */
export async function fillPools({ tenancy, tenants }: Pick<BenchInstallation, 'tenancy' | 'tenants'>) {
  for (const { slug } of [...tenants.rls.slice(0, 1), ...tenants.schema.slice(0, 1), ...tenants.database]) {
    const everybody = Promise.withResolvers<void>()
    let inside = 0
    const enter = () =>
      tenancy.tenant(slug).transaction(async (transaction) => {
        await transaction.query('select 1')
        inside += 1
        if (inside === connectionsPerPool) everybody.resolve()
        await everybody.promise
      })
    await Promise.all(Array.from({ length: connectionsPerPool }, enter))
  }
}

async function provision(
  tenancy: Tenancy,
  counts: Readonly<Record<Strategy, number>>,
  onProgress: (done: number, total: number) => void,
): Promise<Record<Strategy, BenchTenant[]>> {
  const tenants: Record<Strategy, BenchTenant[]> = { rls: [], schema: [], database: [] }
  const wanted = strategies.flatMap((plan) =>
    Array.from({ length: counts[plan] }, (_, index) => ({ plan, slug: `${plan}-${index + 1}` })),
  )
  let done = 0
  await forEachConcurrently(wanted, provisioningConcurrency, async ({ plan, slug }) => {
    const { id } = await tenancy.tenants.create({ slug, name: slug, plan })
    tenants[plan].push({ id, slug })
    done += 1
    onProgress(done, wanted.length)
  })
  return tenants
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(name)}`
  return changed.href
}
