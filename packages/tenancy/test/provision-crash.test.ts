import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { TenancyConfig } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'
import { killAmid } from './support/kill-amid.ts'

const plans = Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }]))
/** Some of the databases are claimed, the others made. */
const servers = { primary: { warmDatabases: 2 } }
const refillWarmDatabases = false
const migrations = [fileURLToPath(new URL('./support/migrations', import.meta.url))]

let installation: TestInstallation

beforeAll(async () => {
  installation = await TestInstallation.open('rls', {
    plans: { only: { strategy: 'rls' }, ...plans },
    servers,
    refillWarmDatabases,
  })
})
afterAll(() => installation.close())

/** Creates tenants in another process, and kills that after a while. */
async function createAndKill(
  slugs: readonly string[],
  afterMs: number,
  lanes = 1,
  more: Partial<TenancyConfig> = {},
): Promise<void> {
  const { name, masterKey } = installation
  const config = {
    databaseUrl: inject('databaseUrl'),
    installation: name,
    masterKey,
    migrations,
    plans,
    servers,
    refillWarmDatabases,
    ...more,
  }
  await killAmid(config, slugs, { afterMs, lanes })
}

test('a process killed at any instant leaves tenants that are whole, or that creating again makes whole', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 400 }),
      fc.shuffledSubarray([...strategies], { minLength: 3 }),
      async (afterMs, order) => {
        run += 1
        // The first tells that the process is at work; the kill falls on one of the others.
        const slugs = [`rls-first-${run}`, ...order.map((strategy) => `${strategy}-${run}`)]
        const { tenancy } = installation
        if (run % 2 === 0) await tenancy.warm()
        await createAndKill(slugs, afterMs)
        for (const slug of slugs) {
          const before = await tenancy.tenants.get(slug).catch(() => null)
          if (before?.state !== 'active')
            await tenancy.tenants.create({ slug, name: slug, plan: slug.split('-')[0] ?? '' })
          const tenant = tenancy.tenant(slug)
          await tenant.query('insert into note (id, body) values (1, $1)', [slug])
          expect((await tenant.query('select body from note')).rows).toEqual([{ body: slug }])
        }
      },
    ),
    { numRuns: 6, verbose: true },
  )
  expect(await findStrays()).toEqual([])
}, 120_000)

test('after kill -9 amid 200 provisionings a sweep finishes each or takes it away, and nothing is left over', async () => {
  const slugs = Array.from({ length: 200 }, (_, index) => `${strategies[index % 3]}-many-${index}`)
  const { tenancy } = installation
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 100, max: 3_000 }), async (afterMs) => {
      await tenancy.warm()
      await createAndKill(slugs, afterMs, 6)
      expect(await tenancy.tenants.sweep()).toMatchObject({ failed: [] })
      for (const state of ['provisioning', 'deleting'] as const)
        expect((await tenancy.tenants.list({ state })).tenants).toEqual([])
      expect(await findStrays()).toEqual([])
    }),
    { numRuns: 3, verbose: true },
  )
  const made = (await tenancy.tenants.list({ limit: 1_000 })).tenants.filter(({ slug }) =>
    slug.includes('many'),
  )
  expect(made.length).toBeGreaterThan(0)
  for (const { slug } of made) {
    const tenant = tenancy.tenant(slug)
    await tenant.query('insert into note (id, body) values (1, $1)', [slug])
    expect((await tenant.query('select body from note')).rows).toEqual([{ body: slug }])
  }
}, 240_000)

test.each(['warm', 'refill'])(
  'a process killed while it makes databases wait (%s) leaves none that is not finished by the next one',
  async (how) => {
    const { tenancy } = installation
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 500 }), async (afterMs) => {
        const claim = (slug: string) => tenancy.tenants.create({ slug, name: slug, plan: 'database' })
        const slugs = ['a', 'b'].map((name) => `database-warmed-${name}`)
        await createAndKill([how], afterMs, 1, { refillWarmDatabases: how === 'refill' })
        await tenancy.warm()
        const waiting = await installation.inCatalog(
          "select for_tenant as id from catalog.database where kind = 'warm' and ready and shape is not null",
        )
        expect(waiting.rowCount).toBe(2)
        for (const slug of slugs) {
          expect(waiting.rows.map(({ id }) => id)).toContain((await claim(slug)).id)
          await tenancy.tenant(slug).query("insert into note (id, body) values (1, 'x')")
          await tenancy.tenants.delete(slug)
        }
        expect(await findStrays()).toEqual([])
      }),
      { numRuns: 3, verbose: true },
    )
  },
  120_000,
)

/** Databases, roles, schemas, fences and gates of which the catalog knows nothing. */
async function findStrays(): Promise<unknown[]> {
  const { rows: known } = await installation.inCatalog('select tenant_id::text as id from catalog.placement')
  const ids = known.map(({ id }) => id)
  const onServer = await installation.inCatalog(
    `select datname as stray from pg_database
      where starts_with(datname, $1) and datname not in (select name from catalog.database) and datname <> $1 || '_catalog'
     union all
     select rolname from pg_roles where starts_with(rolname, $1 || '_') and rolname not in (select login_role from catalog.database)
     union all
     select name from catalog.database where kind = 'silo' and id not in (select database_id from catalog.placement)`,
    [installation.name],
  )
  const inPool = await installation.inDatabase(
    `${installation.name}_pool`,
    `select nspname::text as stray from pg_namespace
      where starts_with(nspname, 'tenant_') and substr(nspname, 8)::uuid::text <> all ($1)
     union all select tenant_id::text from quickscale.placement where tenant_id::text <> all ($1)
     union all select id from quickscale.gate where left(id, 36) <> all ($1)
     union all select schema_name from quickscale.migration
                where schema_name <> 'app' and substr(schema_name, 8)::uuid::text <> all ($1)`,
    [ids],
  )
  return [...onServer.rows, ...inPool.rows]
}
