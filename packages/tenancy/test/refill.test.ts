// Databases that wait for tenants are replaced behind everybody's back.
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { TestInstallation } from './support/installation.ts'

let installation: TestInstallation

const config = (warmDatabases: number, refillWarmDatabases = true) => ({
  refillWarmDatabases,
  servers: { primary: { warmDatabases } },
})

beforeAll(async () => {
  installation = await TestInstallation.open('database', config(2, false))
})
afterAll(() => installation?.close())

const wanted = (slug: string) => ({ slug, name: slug, plan: 'only' })

async function waiting(): Promise<{ id: string; name: string; done: boolean }[]> {
  const { rows } = await installation.inCatalog(
    `select for_tenant as id, name, shape is not null and ready as done
       from catalog.database where kind = 'warm' order by created_at`,
  )
  return rows
}
const finished = async () => (await waiting()).filter(({ done }) => done).length
/** There is no moment at which it must have happened. */
const refilled = (count: number) => expect.poll(finished, { timeout: 60_000, interval: 50 }).toBe(count)

/** Databases and login roles that the catalog knows nothing of. */
async function strays(): Promise<unknown[]> {
  const { rows } = await installation.inCatalog(
    `select datname as stray from pg_database
      where starts_with(datname, $1) and datname not in (select name from catalog.database) and datname <> $1 || '_catalog'
     union all
     select rolname from pg_roles where starts_with(rolname, $1 || '_') and rolname not in (select login_role from catalog.database)`,
    [installation.name],
  )
  return rows
}

test('when a process starts, and after each claim, as many wait as are wanted, and never more', async () => {
  expect(await waiting()).toEqual([])
  const processes = await Promise.all(
    [2, 2, 2].map((count) => installation.another('database', config(count))),
  )
  await refilled(2)
  const before = await waiting()
  const made = await Promise.all(
    processes.map((tenancy, index) => tenancy.tenants.create(wanted(`claim-${index}`))),
  )
  expect(made.map(({ id }) => id)).toEqual(expect.arrayContaining(before.map(({ id }) => id)))
  await refilled(2)
  for (const { slug } of made) {
    await processes[0]?.tenant(slug).query("insert into note (id, body) values (1, 'x')")
    await processes[0]?.tenants.delete(slug)
  }
  await Promise.all(processes.map((tenancy) => tenancy.close()))
  expect(await waiting()).toHaveLength(2)
  expect(await strays()).toEqual([])
})

test('a process that wants fewer takes none away, and one that is told not to makes none', async () => {
  const frugal = await installation.another('database', config(1))
  await frugal.tenants.create(wanted('frugal-1'))
  await frugal.tenants.create(wanted('frugal-2'))
  await refilled(1)
  await frugal.close()
  const told = await installation.another('database', config(2, false))
  await told.tenants.create(wanted('told'))
  await told.close()
  expect(await waiting()).toEqual([])
  for (const slug of ['frugal-1', 'frugal-2', 'told']) await installation.tenancy.tenants.delete(slug)
})

test('nobody waits for it: neither a creation, nor the end of a process, while another one is busy with it', async () => {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${installation.name}_catalog`
  const other = new pg.Client({ connectionString: url.href })
  await other.connect()
  try {
    await other.query(
      "select pg_advisory_lock(hashtextextended(name, 0)) from (values ('refill'), ('warm primary')) as lock (name)",
    )
    const tenancy = await installation.another('database', config(2))
    await tenancy.tenants.create(wanted('beside'))
    expect((await tenancy.tenant('beside').query('select * from note')).rows).toEqual([])
    await tenancy.tenants.delete('beside')
    await tenancy.close()
    expect(await waiting()).toEqual([])
  } finally {
    await other.end()
  }
})

test('a failure is a warning, leaves nothing, is tried again, and is in nobody’s way', async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  const template = `${installation.name}_template`
  await installation.inDatabase(
    template,
    'create table app.gap (id integer, tenant_id uuid not null); alter table app.gap owner to quickscale_owner',
  )
  try {
    const tenancy = await installation.another('database', config(1))
    await expect.poll(() => warnings.length, { timeout: 60_000 }).toBeGreaterThan(0)
    expect(warnings[0]).toMatchObject({
      code: 'QUICKSCALE_REFILL_FAILED',
      detail: expect.stringContaining('LAYOUT_REFUSED'),
    })
    expect((await tenancy.tenant('one').query('select 1 as here')).rows).toEqual([{ here: 1 }])
    await installation.inDatabase(template, 'drop table app.gap')
    await refilled(1)
    await tenancy.close()
    expect(await strays()).toEqual([])
  } finally {
    process.off('warning', note)
    await installation.inDatabase(template, 'drop table if exists app.gap')
  }
})

test('closing waits for the database in the making, and makes no further one', async () => {
  for (const count of [2, 3, 4]) {
    const tenancy = await installation.another('database', config(count))
    await expect.poll(async () => (await waiting()).length, { timeout: 60_000, interval: 5 }).toBe(count)
    await tenancy.close()
    expect((await waiting()).every(({ done }) => done)).toBe(true)
    expect(await strays()).toEqual([])
  }
})

test('before the first migration there is nothing to fill, and nothing to warn of; after it there is', async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  const fresh = await TestInstallation.open('database', config(1))
  try {
    await expect
      .poll(
        async () =>
          (await fresh.inCatalog("select from catalog.database where kind = 'warm' and shape is not null"))
            .rowCount,
        { timeout: 60_000 },
      )
      .toBe(1)
    expect(warnings).toEqual([])
  } finally {
    process.off('warning', note)
    await fresh.close()
  }
})
