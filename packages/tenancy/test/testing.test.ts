// The tools for testing isolation: they are worth what they notice.
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { TenantHandle } from '../src/index.ts'
import { assertIsolated, createTwins, openTestTenancy, type TestTenancy } from '../src/testing/index.ts'

const migrations = [fileURLToPath(new URL('./support/migrations', import.meta.url))]
const plans = ['free', 'pro', 'enterprise']
const config = { databaseUrl: inject('databaseUrl'), migrations, connections: { perDatabase: 2, perSilo: 2 } }

let opened: TestTenancy

beforeAll(async () => {
  opened = await openTestTenancy(config)
})
afterAll(() => opened.close())

const fill = async (tenant: TenantHandle) => {
  await tenant.query("insert into author (id, name) values (1, 'a'), (2, 'b')")
  await tenant.query('insert into note (id, body, author_id) values (1, $1, 1), (2, $1, 2)', [tenant.key])
}

async function asOwner(tenant: TenantHandle, text: (schema: string) => string): Promise<void> {
  const { databaseName, schemaName } = await opened.tenancy.tenants.placement(tenant.key)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query(text(schemaName))
  await client.end()
}

describe.each(plans)('two tenants of plan %s', (plan) => {
  test('are proved to be apart, in every table', async () => {
    const [left, right] = await createTwins(opened.tenancy, plan, fill)
    const report = await assertIsolated(left, right)
    expect(report.tables).toEqual(['author', 'note'])
    expect(report.attempts).toBeGreaterThan(40)
    for (const tenant of [left, right]) {
      expect((await tenant.query('select distinct body from note')).rows).toEqual([{ body: tenant.key }])
    }
  })

  test('prove nothing while a table is empty or their ids differ', async () => {
    const [left, right] = await createTwins(opened.tenancy, plan, fill)
    await left.query('delete from note')
    await expect(assertIsolated(left, right)).rejects.toMatchObject({ code: 'ISOLATION_UNTESTED' })
    await left.query('insert into note (id) values (7), (8)')
    await expect(assertIsolated(left, right)).rejects.toMatchObject({
      code: 'ISOLATION_UNTESTED',
      details: { table: 'note' },
    })
  })
})

describe.each(['free', 'pro'])('a wall of plan %s that was taken down', (plan) => {
  // Under `free` the tables are shared, and so is what is done to them: each is put back.
  test.each([
    [
      'row security',
      'disable row level security',
      'enable row level security',
      /read by tenant_id|qualified name/,
    ],
    [
      'row security, with the CHECK',
      'disable row level security, drop constraint if exists quickscale_tenant_own',
      'enable row level security',
      /updated by|gave rows away|inserted for the other/,
    ],
  ])('is noticed: %s', async (_name, breach, mend, message) => {
    const [left, right] = await createTwins(opened.tenancy, plan, fill)
    for (const tenant of [left, right])
      await asOwner(tenant, (schema) => `alter table ${schema}.note ${breach}`)
    const proof = assertIsolated(left, right)
    await expect(proof).rejects.toMatchObject({ code: 'ISOLATION_BREACHED' })
    await expect(proof).rejects.toThrow(message)
    for (const tenant of [left, right])
      await asOwner(tenant, (schema) => `alter table ${schema}.note ${mend}`)
  })

  test('is noticed: a policy that checks nothing that is written', async () => {
    const [left, right] = await createTwins(opened.tenancy, plan, fill)
    const policy = (schema: string, check: string) =>
      `alter table ${schema}.note drop constraint if exists quickscale_tenant_own;
       drop policy quickscale_tenant on ${schema}.note;
       create policy quickscale_tenant on ${schema}.note
         using (tenant_id = (select context.tenant_id from quickscale.context)) with check (${check})`
    for (const tenant of [left, right]) await asOwner(tenant, (schema) => policy(schema, 'true'))
    await expect(assertIsolated(left, right)).rejects.toThrow(/gave rows away|inserted for the other/)
    const whole = 'tenant_id = (select context.tenant_id from quickscale.context)'
    for (const tenant of [left, right]) await asOwner(tenant, (schema) => policy(schema, whole))
  })
})

describe('a test tenancy', () => {
  test('is a clone of its own: nothing of another one is in it, and nothing of it is left', async () => {
    const other = await openTestTenancy(config)
    await other.tenancy.tenants.create({ slug: 'only-here', name: 'x', plan: 'enterprise' })
    await other.tenancy.tenant('only-here').query("insert into note (id, body) values (1, 'x')")
    await expect(opened.tenancy.tenants.get('only-here')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    const { databaseName } = await other.tenancy.tenants.placement('only-here')
    expect((await other.tenancy.migrate()).applied).toBe(0)
    await other.close()
    const client = new pg.Client({ connectionString: inject('databaseUrl') })
    await client.connect()
    const prefix = databaseName.slice(0, 'qsc_0123456789'.length)
    const left = await client.query(
      `select datname from pg_database where starts_with(datname, $1)
       union all select rolname from pg_roles where starts_with(rolname, $1)`,
      [prefix],
    )
    await client.end()
    expect(left.rows).toEqual([])
  })

  test('is opened by several at the same time', async () => {
    const several = await Promise.all([1, 2, 3].map(() => openTestTenancy(config)))
    for (const { tenancy } of several) await tenancy.tenants.create({ slug: 'same', name: 'x', plan: 'free' })
    for (const { close } of several) await close()
  })

  test('that cannot be opened leaves nothing and says why', async () => {
    await expect(openTestTenancy({ ...config, migrations: ['/nowhere'] })).rejects.toThrow()
  })
})
