// Everybody leaves a server. The one that is drained is an embedded server of this file.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MoverProcess } from '../../../test/support/mover-process.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../src/embedded/index.ts'
import type { TenancyConfig, TenantHandle } from '../src/index.ts'
import { configOf, type NoteTables, strategies, TestInstallation } from './support/installation.ts'

let directory: string
let second: EmbeddedServer
let installation: TestInstallation
/** The primary server cannot take part in moves when it is older than 17. */

function config(): Partial<TenancyConfig<TenantHandle<NoteTables>>> {
  return {
    plans: {
      only: { strategy: 'rls', placement: { server: 'primary' } },
      ...Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
      pinned: { strategy: 'rls', placement: { server: 'second' } },
    },
    servers: {
      primary: { region: 'us' },
      second: { url: second.url, region: 'eu', warmDatabases: 1 },
    },
    refillWarmDatabases: false,
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-drain-test-'))
  // The server may run as another user, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  second = await startEmbeddedServer({ directory, ephemeral: true })
  installation = await TestInstallation.open('rls', config())
})

afterAll(async () => {
  await installation?.close()
  await second?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function connectToSecond(database = 'postgres'): Promise<pg.Client> {
  const url = new URL(second.url)
  url.pathname = `/${database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return client
}

async function onSecond(database: string, text: string): Promise<unknown[]> {
  const client = await connectToSecond(database)
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** One of each strategy, with rows. */
async function settle(name: string): Promise<string[]> {
  const { tenancy } = installation
  const slugs = strategies.map((strategy) => `${name}-${strategy}`)
  for (const [index, slug] of slugs.entries()) {
    await tenancy.tenants.create({ slug, name: slug, plan: strategies[index] ?? '', server: 'second' })
    await tenancy
      .tenant(slug)
      .query("insert into note (id, body) select -n, 'first' from generate_series(1, 200) as n")
  }
  return slugs
}

/** Writes nearly without a pause, and knows what was acknowledged. */
function writeTo(slug: string) {
  const acknowledged: number[] = []
  let stopped = false
  const write = async () => {
    for (let id = 1; !stopped; id += 1) {
      await installation.tenancy
        .tenant(slug)
        .query({ text: 'insert into note (id) values ($1)', values: [id] })
      acknowledged.push(id)
      await sleep(5)
    }
  }
  const running = write()
  return {
    /** What was acknowledged, and what is there. */
    compare: async () => {
      stopped = true
      await running
      const { rows } = await installation.tenancy
        .tenant(slug)
        .query('select id from note where id > 0 order by id')
      return [acknowledged, rows.map(({ id }) => id)]
    },
  }
}

async function assertEmpty(): Promise<void> {
  const pool = `${installation.name}_pool`
  const databases = await onSecond(
    'postgres',
    `select datname as name from pg_database where starts_with(datname, '${installation.name}') order by 1`,
  )
  expect(databases).toEqual([{ name: pool }, { name: `${installation.name}_template` }])
  expect(await onSecond(pool, 'select from pg_replication_slots')).toEqual([])
  for (const query of [
    'select from pg_publication',
    'select from app.note',
    'select from quickscale.placement',
    'select from quickscale.move_end',
    "select from pg_namespace where starts_with(nspname, 'tenant_')",
  ]) {
    expect({ query, rows: await onSecond(pool, query) }).toEqual({ query, rows: [] })
  }
}

async function serversOf(slugs: readonly string[]): Promise<unknown[]> {
  const { rows } = await installation.inCatalog(
    `select server.name from catalog.tenant join catalog.placement on tenant.id = tenant_id
       join catalog.database on database.id = database_id join catalog.server on server.id = server_id
      where slug = any ($1)`,
    [slugs],
  )
  return rows.map(({ name }) => name)
}

test('everybody leaves a server that is drained, of every strategy and while they write, and nothing is left there', async () => {
  const { tenancy } = installation
  const slugs = await settle('leaver')
  await tenancy.warm()
  const plan = await tenancy.servers.planDrain('second')
  const before = await tenancy.servers.get('second')
  expect(before).toMatchObject({ state: 'open', tenants: { rls: 1, schema: 1, database: 1 } })
  expect(before.databases.map(({ kind }) => kind).toSorted()).toEqual(['shared', 'silo', 'template', 'warm'])
  expect(before.biggest.map(({ tenant, strategy, state }) => [tenant, strategy, state]).toSorted()).toEqual(
    strategies.map((strategy) => [`leaver-${strategy}`, strategy, 'active']).toSorted(),
  )
  expect(before.biggest.map(({ bytes }) => bytes > 0)).toEqual([true, true, true])
  expect(plan.moves.map(({ tenant, target }) => [tenant, target.server, target.strategy])).toEqual(
    strategies.map((strategy) => [`leaver-${strategy}`, 'primary', strategy]).toSorted(),
  )
  expect(plan.stuck).toEqual([])
  const writers = slugs.map(writeTo)
  const seen: number[] = []
  const report = await tenancy.servers.drain('second', {
    copyShare: 1,
    onProgress: ({ moved, total }) => {
      expect(total).toBe(3)
      seen.push(moved)
    },
  })
  for (const writer of writers) {
    const [acknowledged, found] = await writer.compare()
    expect(found).toEqual(acknowledged)
  }
  expect(report).toMatchObject({ server: 'second', drained: true, moved: 3 })
  expect(report.left).toMatchObject({ tenantCount: 0, tenants: [], moves: [] })
  expect(report.left.databases.map(({ kind }) => kind)).toEqual(['shared', 'template'])
  expect([seen[0], seen.at(-1)]).toEqual([0, 3])
  expect(await serversOf(slugs)).toEqual(['primary', 'primary', 'primary'])
  await assertEmpty()
})

test('a server that is drained takes nobody, also after a migration in another process, until that is taken back', async () => {
  const { tenancy } = installation
  await tenancy.servers.drain('second')
  const other = await installation.another('rls', config())
  await other.migrate()
  await other.warm()
  for (const plan of strategies) {
    const refused = other.tenants.create({ slug: `late-${plan}`, name: 'late', plan, server: 'second' })
    await expect(refused).rejects.toMatchObject({
      code: 'PLACEMENT_REFUSED',
      message: expect.stringContaining('second is being drained'),
    })
  }
  expect((await other.servers.list()).map(({ name, state }) => [name, state])).toEqual([
    ['primary', 'open'],
    ['second', 'draining'],
  ])
  expect(await other.servers.undrain('second')).toMatchObject({ state: 'open', drainingSince: null })
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: `late-${plan}`, name: 'late', plan, server: 'second' })
    await tenancy.tenants.delete(`late-${plan}`)
  }
  for (const name of ['nowhere', 'brought:8a3cdd39-6c4d-4e5c-9c1f-0f4c4a9b0d11']) {
    for (const work of [
      tenancy.servers.drain,
      tenancy.servers.undrain,
      tenancy.servers.planDrain,
      tenancy.servers.get,
    ]) {
      await expect(work(name)).rejects.toMatchObject({ code: 'SERVER_UNKNOWN' })
    }
  }
})

test('who may not live elsewhere stays and is named with the reason; the others leave', async () => {
  const { tenancy } = installation
  const here = { name: 'here', server: 'second' }
  await tenancy.tenants.create({ ...here, slug: 'european', plan: 'schema', region: 'eu' })
  await tenancy.tenants.create({ ...here, slug: 'pinned', plan: 'pinned' })
  await tenancy.tenants.create({ ...here, slug: 'free', plan: 'rls' })
  const reasons = [
    ['european', 'PLACEMENT_REFUSED', expect.stringContaining('primary is in us, not in eu')],
    ['pinned', 'PLACEMENT_REFUSED', expect.stringContaining('primary is not second')],
  ]
  const listed = (left: readonly { tenant: string; error: unknown }[]) =>
    left
      .map(({ tenant, error }) => [tenant, (error as { code: string }).code, (error as Error).message])
      .toSorted()
  const { stuck, moves } = await tenancy.servers.planDrain('second')
  expect(listed(stuck)).toEqual(reasons)
  expect(moves.map(({ tenant }) => tenant)).toEqual(['free'])
  const report = await tenancy.servers.drain('second', { rollbackWindowMs: 60_000, copyShare: 1 })
  expect(report).toMatchObject({ drained: false, moved: 1, left: { tenantCount: 2 } })
  expect(listed(report.left.tenants)).toEqual(reasons)
  // Its way back is open: the server keeps what it had of it.
  expect(report.left.moves).toMatchObject([{ state: 'active', source: { server: 'second' } }])
  await tenancy.moves.finish('free')
  for (const slug of ['european', 'pinned']) await tenancy.tenants.delete(slug)
  expect(await tenancy.servers.drain('second')).toMatchObject({ drained: true, moved: 0 })
  await assertEmpty()
  await tenancy.servers.undrain('second')
})

test('load that only one server has is spread by a plan, while tenants of each strategy write, and the next plan is empty', async () => {
  const { tenancy } = installation
  const slugs = strategies.flatMap((strategy) => [`big-${strategy}-1`, `big-${strategy}-2`])
  for (const slug of slugs) {
    const plan = slug.split('-')[1] ?? ''
    await tenancy.tenants.create({ slug, name: slug, plan, server: 'primary' })
    await tenancy
      .tenant(slug)
      .query("insert into note (id, body) select -n, repeat('x', 400) from generate_series(1, 2000) as n")
  }
  await tenancy.tenants.create({ slug: 'american', name: 'a', plan: 'schema', region: 'us' })
  await tenancy
    .tenant('american')
    .query("insert into note (id, body) select -n, repeat('x', 900) from generate_series(1, 2000) as n")
  for (const [limits, field] of [
    [{ threshold: 0 }, 'threshold'],
    [{ movesMax: 0 }, 'movesMax'],
    [{ movesMax: Number.NaN }, 'movesMax'],
    [{ activityPart: 2 }, 'activityPart'],
  ] as const) {
    await expect(tenancy.servers.planRebalance(limits)).rejects.toMatchObject({
      code: 'REBALANCE_INVALID',
      details: { field },
    })
  }
  // They write meanwhile: a little of the load is another one then.
  const bySize = { activityPart: 0, threshold: 0.3 }
  const plan = await tenancy.servers.planRebalance(bySize)
  const [first, other] = plan.servers
  expect([first?.before, other?.before].map((load) => Math.round((load ?? 0) * 10))).toEqual([10, 0])
  expect([first?.after, other?.after].map((load) => Math.round((load ?? 0) * 2))).toEqual([1, 1])
  expect(plan.moves.length).toBeGreaterThan(1)
  for (const { tenant, source, target, bytes } of plan.moves) {
    expect(slugs).toContain(tenant)
    expect([source.server, target.server]).toEqual(['primary', 'second'])
    expect(bytes).toBeGreaterThan(2000 * 400)
    expect(bytes).toBeLessThan(2000 * 400 * 3)
  }
  const { second: there, primary } = config().servers ?? {}
  const large = { second: { ...there }, primary: { ...primary, weight: 1_000 } }
  const heavy = await installation.another('rls', { ...config(), servers: large })
  expect(await heavy.servers.planRebalance(bySize)).toMatchObject({
    moves: [],
    servers: [{ weight: 1_000 }, { weight: 1 }],
  })
  const movers = plan.moves.map(({ tenant }) => tenant)
  const writers = movers.map(writeTo)
  const report = await tenancy.servers.rebalance(plan, { copyShare: 1 })
  for (const writer of writers) {
    const [acknowledged, found] = await writer.compare()
    expect(found).toEqual(acknowledged)
  }
  expect(report.failed).toEqual([])
  expect(report.moved.map(({ tenant }) => tenant).toSorted()).toEqual(movers.toSorted())
  expect(await serversOf(movers)).toEqual(movers.map(() => 'second'))
  expect((await tenancy.servers.planRebalance(bySize)).moves).toEqual([])
  // By activity everything is still where it was done: whoever was busy in this file.
  const byActivity = await tenancy.servers.planRebalance({ activityPart: 1, threshold: 10 })
  expect(Math.round(byActivity.servers.reduce((sum, { before }) => sum + before, 0) * 1e6)).toBe(1e6)
  const { rows: active } = await installation.inCatalog(
    'select slug from catalog.activity join catalog.tenant on id = tenant_id where slug = any ($1) and work > 0',
    [slugs],
  )
  expect(active.map(({ slug }) => slug).toSorted()).toEqual(slugs.toSorted())
  // Who has gone elsewhere is left alone, whatever an old plan says.
  const again = await tenancy.servers.rebalance(plan, { copyShare: 1 })
  expect(again.moved).toEqual([])
  expect(again.failed).toMatchObject(movers.map(() => ({ error: { code: 'MOVE_REFUSED' } })))
  for (const slug of movers) await tenancy.tenants.delete(slug)
})

test('a drain that is killed is gone on with by the next one; two at once are refused, and one that is stopped or taken back ends', async () => {
  const { tenancy, name, masterKey } = installation
  const slugs = await settle('again')
  const writers = slugs.map(writeTo)
  const mover = new MoverProcess({
    config: configOf(name, masterKey, 'rls', config()),
    key: 'second',
    destination: {},
  })
  // What each move of a tenant in the pool waits for.
  const lock = await connectToSecond(`${name}_pool`)
  try {
    await lock.query('begin; lock table quickscale.move_end in share mode')
    mover.order('drain')
    await expect
      .poll(async () => (await tenancy.moves.list({ unfinished: true })).length, { timeout: 30_000 })
      .toBeGreaterThan(1)
    await expect(tenancy.servers.drain('second')).rejects.toMatchObject({ code: 'ALREADY_RUNNING' })
    await mover.kill()
    const stopping = new AbortController()
    const stopped = tenancy.servers.drain('second', {
      signal: stopping.signal,
      onProgress: () => stopping.abort(),
    })
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' })
    expect(await tenancy.servers.get('second')).toMatchObject({ state: 'draining' })
    const begun = Promise.withResolvers<void>()
    const takenBack = tenancy.servers.drain('second', { onProgress: () => begun.resolve() })
    const outcome = takenBack.catch((error: unknown) => error)
    await begun.promise
    await tenancy.servers.undrain('second')
    await lock.query('rollback')
    expect(await outcome).toMatchObject({ code: 'DRAIN_CANCELLED' })
  } finally {
    await lock.end()
    await mover.kill()
  }
  const report = await tenancy.servers.drain('second', { copyShare: 1 })
  for (const writer of writers) {
    const [acknowledged, found] = await writer.compare()
    expect(found).toEqual(acknowledged)
  }
  expect(report).toMatchObject({ drained: true, left: { tenants: [] } })
  expect(await serversOf(slugs)).toEqual(['primary', 'primary', 'primary'])
  await assertEmpty()
})

test('a server goes when it is drained and empty, not before, and can come back', async () => {
  const { tenancy, name } = installation
  const refused = (server: string, reason: string) =>
    expect(tenancy.servers.remove(server)).rejects.toMatchObject({
      code: 'SERVER_IN_USE',
      message: expect.stringContaining(reason),
    })
  await refused('primary', 'it holds the catalog')
  await tenancy.servers.undrain('second')
  await refused('second', 'it takes tenants')
  await tenancy.tenants.create({ slug: 'last', name: 'last', plan: 'pinned' })
  await tenancy.servers.drain('second')
  await refused('second', '1 tenants live there')
  await tenancy.tenants.delete('last')
  expect(await tenancy.servers.remove('second')).toEqual([`${name}_pool`, `${name}_template`])
  expect(await tenancy.servers.remove('second')).toEqual([])
  const left = `select datname from pg_database where starts_with(datname, '${name}')`
  expect(await onSecond('postgres', left)).toEqual([])
  await tenancy.migrate()
  expect(await onSecond('postgres', left)).toEqual([])
  const without = await installation.another('rls', {
    plans: {
      only: { strategy: 'rls' },
      ...Object.fromEntries(strategies.map((each) => [each, { strategy: each }])),
    },
  })
  await without.migrate()
  expect((await without.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  await tenancy.servers.undrain('second')
  await tenancy.migrate()
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: `back-${plan}`, name: 'back', plan, server: 'second' })
    await tenancy.tenants.delete(`back-${plan}`)
  }
})

test('who is suspended or archived moves too, there and back, and is let in nowhere until that ends', async () => {
  const { tenancy } = installation
  const slugs = await settle('asleep')
  for (const [index, slug] of slugs.entries()) {
    await (index === 1 ? tenancy.tenants.archive(slug) : tenancy.tenants.suspend(slug))
  }
  const codes = ['TENANT_SUSPENDED', 'TENANT_ARCHIVED', 'TENANT_SUSPENDED']
  const assertClosed = async (server: string) => {
    expect(await serversOf(slugs)).toEqual(slugs.map(() => server))
    for (const [index, slug] of slugs.entries()) {
      await expect(tenancy.tenant(slug).query('select 1')).rejects.toMatchObject({ code: codes[index] })
      const { databaseName } = await tenancy.tenants.placement(slug)
      const { id } = await tenancy.tenants.get(slug)
      const place =
        server === 'second' ? await connectToSecond(databaseName) : await installation.connectTo(databaseName)
      const { rows: fences } = await place.query(
        'select state from quickscale.placement where tenant_id = $1',
        [id],
      )
      const { rows: gates } = await place.query('select from quickscale.gate where tenant = uuid_send($1)', [
        id,
      ])
      const { rows: members } = await place.query(
        `select from pg_roles where rolname = $1 and pg_has_role(oid, 'quickscale_silo', 'member')`,
        [databaseName],
      )
      await place.end()
      expect(fences).toEqual([{ state: codes[index]?.slice('TENANT_'.length).toLowerCase() }])
      expect([gates, members]).toEqual([[], []])
    }
  }
  expect((await tenancy.servers.planDrain('second')).stuck).toEqual([])
  await tenancy.servers.drain('second', { rollbackWindowMs: 60_000, copyShare: 1 })
  await assertClosed('primary')
  for (const slug of slugs)
    expect((await tenancy.moves.rollback(slug, { copyShare: 1 })).state).toBe('returned')
  await assertClosed('second')
  expect(await tenancy.servers.drain('second', { copyShare: 1 })).toMatchObject({ drained: true, moved: 3 })
  await assertClosed('primary')
  for (const slug of slugs) {
    await tenancy.tenants.resume(slug)
    const { rows } = await tenancy.tenant(slug).query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 200 }])
  }
})

test.each(['rls', 'schema'] as const)(
  'load is spread over the shared databases of one server too, and a full one is passed over: %s',
  async (plan) => {
    const caps = { rowTenantsPerDatabase: 2, schemasPerDatabase: 2 }
    const { tenants, tenant, servers } = await installation.another('rls', {
      ...config(),
      servers: { primary: { region: 'us', private: true }, second: { url: second.url, region: 'eu', caps } },
    })
    await servers.undrain('second')
    const slugs = [1, 2, 3].map((number) => `${plan}-shared-${number}`)
    const homes = async () =>
      await Promise.all(slugs.map(async (slug) => (await tenants.placement(slug)).databaseName))
    for (const slug of slugs) await tenants.create({ slug, name: slug, plan, region: 'eu' })
    const before = await homes()
    const crowded = before.filter((name) => before.indexOf(name) !== before.lastIndexOf(name))[0]
    const [bigger, smaller] = slugs.filter((_, index) => before[index] === crowded)
    const there = before.find((name) => name !== crowded)
    for (const [slug, rows] of [
      [bigger, 2_000],
      [smaller, 1_500],
    ] as const) {
      await tenant(slug ?? '').query({
        text: "insert into note (id, body) select n, repeat('x', 400) from generate_series(1, $1::integer) as n",
        values: [rows],
      })
    }
    const bySize = { activityPart: 0, threshold: 0.5 }
    const { moves } = await servers.planRebalance(bySize)
    expect(moves).toMatchObject([
      { tenant: smaller, source: { database: crowded }, target: { database: there, server: 'second' } },
    ])
    expect(await servers.rebalance({ moves, servers: [] }, { copyShare: 1 })).toMatchObject({ failed: [] })
    expect(await homes()).toEqual(before.map((name, at) => (slugs[at] === smaller ? there : name)))
    const { rows } = await tenant(smaller ?? '').query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 1_500 }])
    expect((await servers.planRebalance(bySize)).moves).toEqual([])
    const { id: tenantId } = await tenants.get(bigger ?? '')
    const full = moves.map((move) => ({ ...move, tenantId }))
    expect((await servers.rebalance({ moves: full, servers: [] })).failed).toMatchObject([
      { error: { code: 'PLACEMENT_REFUSED' } },
    ])
    for (const slug of slugs) await tenants.delete(slug)
  },
)
