// Databases that wait for their tenants.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { resettingState } from '../../../test/support/reset-state.ts'
import type { ServerConfig } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

let installation: TestInstallation
let migrations: string

beforeAll(async () => {
  migrations = await mkdtemp(join(tmpdir(), 'quickscale-warm-test-'))
  await cp(fileURLToPath(new URL('./support/migrations', import.meta.url)), migrations, { recursive: true })
  installation = await TestInstallation.open('database', config(2))
})
afterAll(async () => {
  await installation?.close()
  await rm(migrations, { recursive: true, force: true })
})

function config(warmDatabases: number, caps: ServerConfig['caps'] = {}) {
  return {
    migrations: [migrations],
    refillWarmDatabases: false,
    servers: { primary: { warmDatabases, caps } },
  }
}

async function waiting(): Promise<{ id: string; name: string; current: boolean }[]> {
  const { rows } = await installation.inCatalog(
    "select for_tenant as id, name, shape is not null as current from catalog.database where kind = 'warm' order by created_at",
  )
  return rows
}

async function onServer(): Promise<string[]> {
  const { rows } = await installation.inCatalog(
    'select datname as name from pg_database where starts_with(datname, $1) order by 1',
    [installation.name],
  )
  return rows.map(({ name }) => name)
}

const wanted = (slug: string) => ({ slug, name: slug, plan: 'only' })

test('a tenant gets the database that waited for it, with the id it was made for, and nothing is made', async () => {
  const { tenancy } = installation
  expect(await tenancy.warm()).toEqual({ made: 2, dropped: 0 })
  expect(await tenancy.warm()).toEqual({ made: 0, dropped: 0 })
  expect(await tenancy.drift()).toMatchObject({ ok: true, places: 6 })
  expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  const [first, second] = await waiting()
  const before = await onServer()
  const { id } = await tenancy.tenants.create(wanted('warm'))
  expect(id).toBe(first?.id)
  expect(await onServer()).toEqual(before)
  expect(await waiting()).toEqual([second])
  const tenant = tenancy.tenant('warm')
  await tenant.query("insert into note (id, body) values (1, 'mine')")
  expect((await tenant.query('select body from note')).rows).toEqual([{ body: 'mine' }])
  const stranger = installation.asOwner(
    'warm',
    'insert into app.note (id, body, tenant_id) values (2, $1, $2)',
    ['x', crypto.randomUUID()],
  )
  await expect(stranger).rejects.toMatchObject({ code: '23514' })
  expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  await tenancy.tenants.delete('warm')
  expect(await onServer()).toEqual(before.filter((name) => name !== first?.name))
})

test('a clone with a table that the first one had not is looked at, and not handed over with a gap in its wall', async () => {
  const { tenancy, name } = installation
  const inTemplate = (text: string) => installation.inDatabase(`${name}_template`, text)
  // With an id each, so that a clone is made; the first one tells how the wall is raised.
  const create = (slug: string) => tenancy.tenants.create({ ...wanted(slug), id: crypto.randomUUID() })
  await create('whole')
  await inTemplate(
    'create table app.gap (id integer, tenant_id uuid not null); alter table app.gap owner to quickscale_owner',
  )
  const before = await onServer()
  await expect(create('gap')).rejects.toMatchObject({ code: 'LAYOUT_REFUSED' })
  expect(await onServer()).toEqual(before)
  await inTemplate('drop table app.gap')
  await create('gap')
  expect(await tenancy.drift()).toMatchObject({ ok: true })
  for (const slug of ['whole', 'gap']) await tenancy.tenants.delete(slug)
})

test('a tenant whose id is given gets a database of its own making', async () => {
  const { tenancy } = installation
  await tenancy.warm()
  const before = await waiting()
  await tenancy.tenants.create({ ...wanted('given'), id: '0198c0de-0000-7000-8000-00000000000e' })
  expect(await waiting()).toEqual(before)
  await tenancy.tenants.delete('given')
})

test('no two tenants get the same database, however many come at once', async () => {
  const processes = [
    await installation.another('database', config(2)),
    await installation.another('database', config(2)),
  ]
  await Promise.all(processes.map((tenancy) => tenancy.warm()))
  const warm = (await waiting()).map(({ id }) => id)
  expect(warm).toHaveLength(2)
  const slugs = ['c-0', 'c-1', 'c-2', 'c-3']
  const made = await Promise.all(
    slugs.map((slug, index) => processes[index % 2]?.tenants.create(wanted(slug))),
  )
  const ids = made.map((tenant) => tenant?.id)
  expect(new Set(ids).size).toBe(4)
  expect(ids).toEqual(expect.arrayContaining(warm))
  for (const slug of slugs) {
    await installation.tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
  }
  for (const slug of slugs) {
    const { rows } = await installation.tenancy.tenant(slug).query('select body from note')
    expect(rows).toEqual([{ body: slug }])
    await installation.tenancy.tenants.delete(slug)
  }
})

test('a claim whose tenant cannot be made, or was interrupted, leaves nothing or is finished', async () => {
  let broken = true
  const seed = async () => {
    if (broken) throw new Error('seed is broken')
  }
  const tenancy = await installation.another('database', { ...config(2), seed })
  await tenancy.warm()
  const [first, second] = await waiting()
  await expect(tenancy.tenants.create(wanted('seeded'))).rejects.toThrow('seed is broken')
  expect(await waiting()).toEqual([second])
  expect(await onServer()).not.toContain(first?.name)
  broken = false
  const { id } = await tenancy.tenants.create(wanted('seeded'))
  expect(id).toBe(second?.id)
  const back = "update catalog.tenant set state = 'provisioning', settled = false where slug = 'seeded'"
  await installation.inCatalog(resettingState('catalog.tenant', back))
  expect(await tenancy.tenants.sweep()).toEqual({ settled: 1, removed: 0, failed: [] })
  expect((await tenancy.tenant('seeded').query('select * from note')).rows).toEqual([])
  await tenancy.tenants.delete('seeded')
})

test('a warm database is brought up to date by migrate(), and none that is not is given to anybody', async () => {
  const { tenancy } = installation
  await tenancy.warm()
  await writeFile(join(migrations, '0002_colour.sql'), 'alter table note add column colour text;')
  const [first] = await waiting()
  const cold = await tenancy.tenants.create(wanted('cold'))
  expect((await waiting()).map(({ id }) => id)).not.toContain(cold.id)
  await tenancy.migrate()
  const claimed = await tenancy.tenants.create(wanted('current'))
  expect(claimed.id).toBe(first?.id)
  for (const slug of ['cold', 'current']) {
    await tenancy.tenant(slug).query("insert into note (id, body, colour) values (1, 'x', 'red')")
    await tenancy.tenants.delete(slug)
  }
})

test('a database without its fence is offered by no migration', async () => {
  const { tenancy } = installation
  await tenancy.warm()
  const before = await waiting()
  // As after kill -9 between the last step but one, which makes it ready, and the fence.
  await installation.inCatalog("update catalog.database set shape = null where kind = 'warm'")
  await tenancy.migrate()
  const cold = await tenancy.tenants.create(wanted('unfenced'))
  expect(before.map(({ id }) => id)).not.toContain(cold.id)
  await tenancy.tenants.delete('unfenced')
  expect(await tenancy.warm()).toEqual({ made: 2, dropped: 0 })
})

test('an interrupted warming is finished by the next one, and what is too many goes', async () => {
  const { tenancy } = installation
  await tenancy.warm()
  const before = await waiting()
  // As after kill -9 before the end: in the making, its login unknown.
  await installation.inCatalog("update catalog.database set shape = null, ready = false where kind = 'warm'")
  const cold = await tenancy.tenants.create(wanted('meanwhile'))
  expect(before.map(({ id }) => id)).not.toContain(cold.id)
  await tenancy.tenants.delete('meanwhile')
  expect(await tenancy.warm()).toEqual({ made: 2, dropped: 0 })
  const claimed = await tenancy.tenants.create(wanted('after'))
  expect(claimed.id).toBe(before[0]?.id)
  await tenancy.tenant('after').query("insert into note (id, body) values (1, 'x')")
  await tenancy.tenants.delete('after')
  const frugal = await installation.another('database', config(5, { databases: 2 }))
  expect(await frugal.warm()).toEqual({ made: 0, dropped: 1 })
  expect((await onServer()).filter((name) => !/_(catalog|pool|template)$/.test(name))).toHaveLength(2)
})
