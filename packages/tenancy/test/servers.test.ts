// Several servers in one installation. The second one is an embedded server of this file.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type EmbeddedServer, startEmbeddedServer } from '../src/embedded/index.ts'
import type { ServerConfig, TenancyConfig, TenantHandle } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

/** Traits belong to a configuration, not to a server: each test gives its servers others. */
function servers(primary: Traits, other: Traits = {}): Partial<TenancyConfig<TenantHandle<NoteTables>>> {
  return { plans, servers: { primary, second: { url: second.url, ...other } } }
}
type Traits = Omit<ServerConfig, 'url' | 'pooler'>

const plans = {
  only: { strategy: 'rls' as const },
  ...Object.fromEntries(
    strategies.flatMap((strategy) => [
      [strategy, { strategy }],
      [`hipaa-${strategy}`, { strategy, placement: { labels: ['hipaa'] } }],
      [`bank-${strategy}`, { strategy, placement: { server: 'second' } }],
    ]),
  ),
}

let directory: string
let second: EmbeddedServer
let installation: TestInstallation

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-servers-test-'))
  // The server may run as another user, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  second = await startEmbeddedServer({ directory, ephemeral: true })
  installation = await TestInstallation.open('rls', servers({}, { private: true }))
})
afterAll(async () => {
  await installation?.close()
  await second?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function onSecond(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: second.url })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

test('one server under two names is refused, before anything is made there', async () => {
  const alias = new URL(inject('databaseUrl'))
  alias.hostname = alias.hostname === 'localhost' ? '127.0.0.1' : 'localhost'
  const twice = await installation.another('rls', {
    plans,
    servers: { second: { url: second.url }, alias: { url: alias.href } },
  })
  await expect(twice.migrate()).rejects.toMatchObject({
    code: 'SERVER_UNSUITABLE',
    message: expect.stringContaining('alias and primary are the same server'),
  })
  const { rows } = await installation.inCatalog("select from catalog.server where name = 'alias'")
  expect(rows).toHaveLength(0)
})

test('every server gets shared tables and a template, is examined, and holds no catalog', async () => {
  const { tenancy, name } = installation
  const names = await onSecond(
    'select datname as name from pg_database where starts_with(datname, $1) order by 1',
    [name],
  )
  expect(names).toEqual([{ name: `${name}_pool` }, { name: `${name}_template` }])
  const { rows } = await installation.inCatalog(
    `select server.name as server, database.name from catalog.database join catalog.server on server.id = server_id
      order by 1, 2`,
  )
  expect(rows).toEqual(
    ['primary', 'second'].flatMap((server) =>
      ['pool', 'template'].map((part) => ({ server, name: `${name}_${part}` })),
    ),
  )
  expect((await tenancy.migrate()).applied).toBe(0)
  expect((await tenancy.drift()).places).toBe(4)
  const { databases, findings } = await tenancy.doctor()
  expect({ databases, errors: findings.filter(({ level }) => level === 'error') }).toEqual({
    databases: 4,
    errors: [],
  })
})

test('the keys of two servers differ, although their databases have the same name', async () => {
  const digest = "select md5(string_agg(inner_pad || outer_pad, '')) as digest from quickscale.token_key"
  const [here] = (await installation.inDatabase(`${installation.name}_pool`, digest)).rows
  const url = new URL(second.url)
  url.pathname = `/${installation.name}_pool`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  const [there] = (await client.query(digest)).rows
  await client.end()
  expect(there.digest).not.toBe(here.digest)
})

test('a server that tenants live on and the configuration has forgotten is missed by name, and no URL is shown', async () => {
  const forgetful = await installation.another('rls', { plans: { only: plans.only } })
  for (const work of [forgetful.drift, forgetful.doctor, forgetful.migrate]) {
    const error = await work().catch((caught: Error) => caught)
    expect(error).toMatchObject({ code: 'SERVER_UNKNOWN', details: { server: 'second', known: 'primary' } })
    expect(JSON.stringify([error, String(error)])).not.toContain(new URL(second.url).password)
  }
})

describe.each(strategies)('placement under the %s strategy', (strategy) => {
  const slugOf = (what: string) => `${strategy}-${what}`
  const wanted = (what: string) => ({ slug: slugOf(what), name: what, plan: strategy as string })

  test('keeps a tenant in its region, on another server, where it works and goes without trace', async () => {
    const tenancy = await installation.another('rls', servers({ region: 'us' }, { region: 'eu' }))
    const { id, region } = await tenancy.tenants.create({ ...wanted('eu'), region: 'eu' })
    expect(region).toBe('eu')
    const tenant = tenancy.tenant(slugOf('eu'))
    await tenant.query("insert into note (id, body) values (1, 'far away')")
    expect((await tenant.query('select body from note')).rows).toEqual([{ body: 'far away' }])
    expect(await serverOf(id)).toBe('second')
    await tenancy.tenants.suspend(slugOf('eu'))
    await expect(tenant.query('select 1')).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
    await tenancy.tenants.resume(slugOf('eu'))
    const { gone } = await tenancy.tenants.delete(slugOf('eu'))
    expect(gone.map(({ kind }) => kind)).toContain(strategy === 'rls' ? 'rows' : strategy)
    expect(
      await onSecond('select from pg_database where datname like $1', [`%${id.replaceAll('-', '')}`]),
    ).toEqual([])
    expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('refuses what no server may take, before anything is recorded', async () => {
    const traits = [
      { region: 'us', labels: ['ssd'] },
      { private: true, region: 'eu' },
    ] as const
    const tenancy = await installation.another('rls', servers(...traits))
    const before = await installation.inCatalog('select count(*) from catalog.tenant')
    for (const [rules, reason] of [
      [{ region: 'eu' }, 'primary is in us, not in eu; second is private'],
      [{ server: 'second', region: 'us' }, 'second is in eu, not in us'],
      [{ server: 'gone' }, 'primary is not gone'],
      [{ plan: `hipaa-${strategy}` }, 'primary has no label hipaa'],
    ] as const) {
      const refused = tenancy.tenants.create({ ...wanted('refused'), ...rules })
      await expect(refused).rejects.toMatchObject({ code: 'PLACEMENT_REFUSED', status: 409 })
      await expect(refused).rejects.toThrow(reason)
    }
    await expect(tenancy.tenants.create({ ...wanted('refused'), region: '' })).rejects.toMatchObject({
      code: 'TENANT_INVALID',
    })
    expect((await installation.inCatalog('select count(*) from catalog.tenant')).rows).toEqual(before.rows)
  })

  test('gives a private server to those who are pinned to it, by themselves or by their plan', async () => {
    const tenancy = await installation.another('rls', servers({}, { private: true }))
    const own = await tenancy.tenants.create({ ...wanted('pinned'), server: 'second' })
    const byPlan = await tenancy.tenants.create({ ...wanted('bank'), plan: `bank-${strategy}` })
    const other = await tenancy.tenants.create(wanted('other'))
    expect(await Promise.all([own, byPlan, other].map(({ id }) => serverOf(id)))).toEqual([
      'second',
      'second',
      'primary',
    ])
    await expect(tenancy.tenants.update(other.slug, { plan: `bank-${strategy}` })).rejects.toMatchObject({
      code: 'PLAN_NEEDS_MOVE',
      message: expect.stringContaining('another server: primary is not second'),
    })
    expect(await tenancy.tenants.update(own.slug, { plan: `bank-${strategy}` })).toMatchObject({
      plan: `bank-${strategy}`,
    })
    for (const { slug } of [own, byPlan, other]) await tenancy.tenants.delete(slug)
  })

  test('never exceeds a cap, however many are made at once by several processes', async () => {
    const { rows } = await installation.inCatalog(
      'select count(*)::integer as count from catalog.placement where strategy = $1',
      [strategy],
    )
    const room = 3
    const capOf = rows[0].count + room
    const caps = {
      databases: capOf,
      sharedDatabases: 1,
      rowTenantsPerDatabase: capOf,
      schemasPerDatabase: capOf,
    }
    const config = servers({ caps }, { private: true })
    const processes = [await installation.another('rls', config), await installation.another('rls', config)]
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => processes[index % 2]?.tenants.create(wanted(`crowd-${index}`))),
    )
    const made = outcomes.filter(({ status }) => status === 'fulfilled')
    const codes = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []))
    expect({ made: made.length, codes }).toEqual({
      made: room,
      codes: Array(8 - room).fill('PLACEMENT_REFUSED'),
    })
    for (let index = 0; index < 8; index += 1) {
      if (outcomes[index]?.status === 'fulfilled')
        await processes[0]?.tenants.delete(slugOf(`crowd-${index}`))
    }
    await processes[0]?.tenants.create(wanted('crowd-again'))
    await processes[0]?.tenants.delete(slugOf('crowd-again'))
  })
})

test.each(['rls', 'schema'] as const)(
  'another shared database is made when all are full, for those who come at once too: %s',
  async (strategy) => {
    const caps = { rowTenantsPerDatabase: 2, schemasPerDatabase: 2, sharedDatabases: 2 }
    const tenancy = await installation.another('rls', servers({ caps: { ...caps } }, { private: true, caps }))
    const create = (what: string) =>
      tenancy.tenants.create({ slug: `${strategy}-${what}`, name: what, plan: strategy, server: 'second' })
    const made = await Promise.all(['a', 'b', 'c', 'd'].map(create))
    const databases = await Promise.all(
      made.map(async ({ slug }) => (await tenancy.tenants.placement(slug)).databaseName),
    )
    const [first, further] = [`${installation.name}_pool`, `${installation.name}_pool_2`]
    expect(databases.toSorted()).toEqual([first, first, further, further])
    await expect(create('e')).rejects.toMatchObject({ code: 'PLACEMENT_REFUSED' })
    for (const { slug } of made) {
      await tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
    }
    for (const { slug } of made) {
      expect((await tenancy.tenant(slug).query('select body from note')).rows).toEqual([{ body: slug }])
    }
    expect((await tenancy.migrate()).applied).toBe(0)
    expect(await tenancy.drift()).toMatchObject({ ok: true })
    for (const { slug } of made) await tenancy.tenants.delete(slug)
  },
)

async function serverOf(tenantId: string): Promise<string> {
  const { rows } = await installation.inCatalog(
    `select server.name from catalog.placement join catalog.database on database.id = database_id
       join catalog.server on server.id = server_id where tenant_id = $1`,
    [tenantId],
  )
  return rows[0]?.name
}
