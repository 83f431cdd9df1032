// What a process remembers of who is what in a tenant: for how long, and what makes it forget.
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Tenancy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { type NoteTables, TestInstallation } from './support/installation.ts'
import { outcomeOf } from './support/outcome.ts'

let installation: TestInstallation
/** Another process, which only asks. */
let served: Tenancy<NoteTables>
beforeAll(async () => {
  installation = await TestInstallation.open('rls')
  served = await installation.another('rls')
  await served.members.rememberedLineage('two')
  await heard()
})
afterAll(() => installation.close())
afterEach(() => vi.useRealTimers())

async function join(role: string, slug = 'one'): Promise<string> {
  const userId = randomUUID()
  await installation.tenancy.members.put(slug, { userId, name: 'Ann', role })
  return userId
}

const roleIn = async (tenancy: Tenancy<NoteTables>, userId: string, slug = 'one') =>
  (await tenancy.members.rememberedLineage(slug, userId))[0]?.role

/** The connections over which this installation's processes hear the catalog. */
async function listeners(): Promise<number[]> {
  const { rows } = await installation.inCatalog(
    `select pid from pg_stat_activity
      where datname = $1 and application_name = 'quickscale changes' and query ~ 'catalog.version'`,
    [`${installation.name}_catalog`],
  )
  return rows.map(({ pid }) => pid)
}

/** What is read from now on is heard of by the served process. */
async function heard(): Promise<void> {
  await vi.waitUntil(async () => (await listeners()).length > 0, { timeout: 20_000 })
}

/** Changes a member behind the back of everybody: nothing is announced. */
async function changeSilently(userId: string, change: string): Promise<void> {
  await installation.inCatalog(
    `set session_replication_role = replica; update catalog.member set ${change} where user_id = '${userId}'`,
  )
}

const marker = randomUUID()
let markers = 0
/** The served process has heard everything that was announced so far. */
async function settled(): Promise<void> {
  markers += 1
  const role = `marker ${markers}`
  // Remembered, so that what comes next is what was heard, and not what was asked.
  await roleIn(served, marker, 'two')
  await installation.tenancy.members.put('two', { userId: marker, name: 'Marker', role })
  await expect.poll(() => roleIn(served, marker, 'two')).toBe(role)
}

function age(milliseconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + milliseconds })
}

test('who is what in a tenant is remembered while the catalog is heard, and not asked for again', async () => {
  const userId = await join('owner')
  await settled()
  expect(await roleIn(served, userId)).toBe('owner')
  await changeSilently(userId, "role = 'viewer'")
  expect(await roleIn(served, userId)).toBe('owner')
  age(limits.lineageLifetimeMs + 1_000)
  expect(await roleIn(served, userId)).toBe('owner')
})

test.each([
  ['is taken out', (userId: string) => installation.tenancy.members.deactivate('one', userId), null],
  ['is forgotten', (userId: string) => installation.tenancy.members.anonymise(userId), null],
  [
    'gets a lower role',
    (userId: string) => installation.tenancy.members.put('one', { userId, name: 'Ann', role: 'viewer' }),
    'viewer',
  ],
])('who %s is so at once where it was done, and moments later elsewhere', async (_what, change, role) => {
  const userId = await join('owner')
  for (const each of [served, installation.tenancy]) expect(await roleIn(each, userId)).toBe('owner')
  await change(userId)
  expect(await roleIn(installation.tenancy, userId)).toBe(role)
  await expect.poll(() => roleIn(served, userId)).toBe(role)
})

test('an answer that was on its way while the membership ended is not remembered', async () => {
  const userId = await join('owner')
  const [, answer] = await Promise.all([
    installation.tenancy.members.deactivate('one', userId),
    roleIn(installation.tenancy, userId),
  ])
  expect(['owner', null]).toContain(answer)
  expect(await roleIn(installation.tenancy, userId)).toBe(null)
})

test('a tenant that is deleted, renamed or given another parent is so elsewhere, moments later', async () => {
  const { tenants } = installation.tenancy
  for (const slug of ['parent', 'child']) await tenants.create({ slug, name: slug, plan: 'only' })
  const userId = await join('owner', 'parent')
  const line = async (tenancy: Tenancy<NoteTables>, key: string) =>
    (await tenancy.members.rememberedLineage(key, userId)).map(({ slug, role, plan }) => [slug, role, plan])
  const asked = (key: string) => expect.poll(() => line(served, key))
  await asked('child').toEqual([['child', null, 'only']])
  await tenants.update('child', { parent: 'parent' })
  const both = [
    ['child', null, 'only'],
    ['parent', 'owner', 'only'],
  ]
  expect(await line(installation.tenancy, 'child')).toEqual(both)
  await asked('child').toEqual(both)
  await tenants.rename('child', { slug: 'kid' })
  expect(await line(installation.tenancy, 'child')).toEqual([])
  await asked('child').toEqual([])
  await asked('kid').toHaveLength(2)
  await tenants.delete('kid')
  expect(await line(installation.tenancy, 'kid')).toEqual([])
  await asked('kid').toEqual([])
})

test('that there is no such tenant is not remembered', async () => {
  const userId = randomUUID()
  expect(await served.members.rememberedLineage('later', userId)).toEqual([])
  await installation.tenancy.tenants.create({
    slug: 'later',
    name: 'Later',
    plan: 'only',
    members: [{ userId, name: 'Ann', role: 'owner' }],
  })
  expect(await roleIn(served, userId, 'later')).toBe('owner')
})

describe('nothing is believed for long', () => {
  const remembered = async () => {
    const userId = await join('owner')
    await settled()
    expect(await roleIn(served, userId)).toBe('owner')
    return userId
  }

  test('when the connection that hears has fallen silent', async () => {
    const userId = await remembered()
    await changeSilently(userId, 'active = false')
    age(limits.lineageSilenceMs)
    expect(await roleIn(served, userId)).toBe(null)
  })

  test('when that connection is lost, nor what was read before when there is another one', async () => {
    const [lost, over] = [await remembered(), await remembered()]
    for (const pid of await listeners()) {
      await installation.inCatalog('select pg_terminate_backend($1, 5000)', [pid])
    }
    for (const userId of [lost, over]) await changeSilently(userId, 'active = false')
    age(limits.lineageLifetimeMs)
    expect(await roleIn(served, lost)).toBe(null)
    vi.useRealTimers()
    await heard()
    age(limits.lineageLifetimeMs)
    expect(await roleIn(served, over)).toBe(null)
  })

  test('when the clock is set back', async () => {
    age(3_600_000)
    const userId = await join('owner')
    await expect.poll(() => roleIn(served, userId)).toBe('owner')
    vi.useRealTimers()
    await changeSilently(userId, 'active = false')
    expect(await roleIn(served, userId)).toBe(null)
  })
})

test('a catalog of a version that does not announce members is asked again after a short while', async () => {
  const userId = await join('owner')
  await installation.inCatalog("delete from catalog.version where name like '%_member_changes.sql'")
  for (const pid of await listeners()) {
    await installation.inCatalog('select pg_terminate_backend($1, 5000)', [pid])
  }
  await heard()
  expect(await roleIn(served, userId)).toBe('owner')
  await changeSilently(userId, 'active = false')
  age(limits.lineageLifetimeMs)
  expect(await roleIn(served, userId)).toBe(null)
})

test('what nobody may ask is refused as ever', async () => {
  expect(await outcomeOf(served.members.rememberedLineage('Not A Key'))).toBe('TENANT_KEY_INVALID')
  expect(await outcomeOf(served.members.rememberedLineage('one', 'nobody'))).toBe('MEMBER_INVALID')
})
