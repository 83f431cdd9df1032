// What a process remembers of the catalog: for how long, and what makes it forget.
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { CatalogChanges, type ChangedTenant } from '../src/catalog/changes.ts'
import type { Strategy, Tenancy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'
import { outcomeOf } from './support/outcome.ts'

let installation: TestInstallation
afterEach(async () => {
  vi.useRealTimers()
  await installation.close()
})

const ask = (tenancy: Tenancy<NoteTables>, key: string) => outcomeOf(tenancy.tenant(key).query('select 1'))

/** The connections that listen, and when each was last heard from. */
async function listeners(): Promise<{ pid: number; beat: Date }[]> {
  const { rows } = await installation.inCatalog(
    `select pid, query_start as beat from pg_stat_activity
      where datname = $1 and application_name = 'quickscale changes' and query ~ 'catalog.version'`,
    [`${installation.name}_catalog`],
  )
  return rows
}

const listening = (count: number) =>
  expect.poll(async () => (await listeners()).length, { timeout: 30_000 }).toBe(count)

/** From now on the clock is ahead by this much. */
function age(milliseconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + milliseconds })
}

describe.each(strategies)('under the %s strategy another process', (strategy: Strategy) => {
  test('hears of a renaming before its routes are old', async () => {
    installation = await TestInstallation.open(strategy)
    const served = await installation.another(strategy)
    const { id } = await installation.tenancy.tenants.get('one')
    for (const key of ['one', id]) expect(await ask(served, key)).toBe('done')
    await listening(1)
    await installation.tenancy.tenants.rename('one', { slug: 'first' })
    await expect.poll(() => ask(served, 'one'), { timeout: 20_000 }).toBe('TENANT_NOT_FOUND')
    for (const key of ['first', id]) expect(await ask(served, key)).toBe('done')
  })
})

test('a route is believed for longer while the catalog is heard, and not when a beat is missing', async () => {
  installation = await TestInstallation.open('rls')
  const served = await installation.another('rls')
  await ask(served, 'two')
  await listening(1)
  expect(await ask(served, 'one')).toBe('done')
  const [listener] = await listeners()
  // Nobody hears of this, and who reads a route from now on fails.
  await installation.inCatalog('drop table catalog.token_key')
  const step = limits.routeLifetimeMs - 5_000
  age(step)
  const beaten = async () => (await listeners()).some(({ beat }) => listener && beat > listener.beat)
  await expect.poll(beaten, { timeout: 30_000 }).toBe(true)
  // The answer to that beat arrives with, or before, that of a later question.
  expect(await ask(served, 'one')).toBe('done')
  vi.setSystemTime(Date.now() + step)
  expect(await ask(served, 'one')).toBe('done')
  await installation.inCatalog('select pg_terminate_backend($1, 5000)', [listener?.pid])
  vi.setSystemTime(Date.now() + limits.routeLifetimeMs)
  expect(await ask(served, 'one')).toBe('NOT_INSTALLED')
})

describe('what was read from the catalog', () => {
  const heard: ChangedTenant[] = []
  let changes: CatalogChanges
  async function open(): Promise<void> {
    heard.length = 0
    installation = await TestInstallation.open('rls')
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${installation.name}_catalog`
    changes = new CatalogChanges(url.href)
    changes.listen({ changed: (tenant) => heard.push(tenant), expected: () => undefined })
  }
  const covered = () => expect.poll(() => changes.covers(Date.now()), { timeout: 30_000 }).toBe(true)
  afterEach(() => changes.close())

  test('is covered from the moment of listening on, and each change of a tenant is heard', async () => {
    const beforeMs = Date.now()
    await open()
    await covered()
    expect(changes.covers(beforeMs)).toBe(false)
    const { id } = await installation.tenancy.tenants.get('one')
    await installation.tenancy.tenants.rename('one', { slug: 'first' })
    await expect.poll(() => heard).toContainEqual({ id, slugs: ['one', 'first'] })
    heard.length = 0
    await installation.inCatalog('update catalog.placement set epoch = epoch where tenant_id = $1', [id])
    await expect.poll(() => heard).toEqual([{ id, slugs: ['first'] }])
  })

  test.each([
    ['database', 'login_role'],
    ['server', 'host'],
    ['token_key', 'state'],
  ])('is not covered after any %s has changed', async (table, column) => {
    await open()
    await covered()
    const { count } = changes
    const readAtMs = Date.now()
    expect(changes.covers(readAtMs)).toBe(true)
    await installation.inCatalog(`update catalog.${table} set ${column} = ${column}`)
    await expect.poll(() => changes.count).toBeGreaterThan(count)
    expect(changes.covers(readAtMs)).toBe(false)
    await covered()
  })

  test('is not covered across a gap in listening, nor without a beat', async () => {
    await open()
    await covered()
    const readAtMs = Date.now()
    const [listener] = await listeners()
    await installation.inCatalog('select pg_terminate_backend($1, 5000)', [listener?.pid])
    await expect.poll(() => changes.covers(readAtMs)).toBe(false)
    await covered()
    expect(changes.covers(readAtMs)).toBe(false)
    const laterMs = Date.now()
    age(limits.routeLifetimeMs + 1_000)
    expect(changes.covers(laterMs)).toBe(false)
  })

  test('is not covered by a catalog of a version that announces nothing', async () => {
    await open()
    await covered()
    await installation.inCatalog("delete from catalog.version where name like '%_changes.sql'")
    await expect.poll(() => changes.covers(Date.now()), { timeout: 30_000 }).toBe(false)
  })
})
