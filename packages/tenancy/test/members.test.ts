import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { openCatalog } from '../src/catalog/catalog.ts'
import { deliverMembers } from '../src/members/deliver.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const migrations = [fileURLToPath(new URL('./support/members', import.meta.url))]
const plans = {
  only: { strategy: 'rls' as const },
  ...Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
}
const everyone = strategies.map((strategy) => `on-${strategy}`)

let installation: TestInstallation

beforeAll(async () => {
  installation = await TestInstallation.open('rls', { plans, migrations })
  for (const plan of strategies)
    await installation.tenancy.tenants.create({ slug: `on-${plan}`, name: plan, plan })
})
afterAll(() => installation.close())

const ann = (userId: string) => ({ userId, name: 'Ann Lee', email: 'ann@acme.example', role: 'owner' })

async function membersIn(slug: string, userId: string): Promise<unknown[]> {
  const { rows } = await installation.tenancy
    .tenant(slug)
    .query('select name, email, role, active from member where user_id = $1', [userId])
  return rows
}

describe.each(strategies)('a member with the %s strategy', (strategy) => {
  const slug = `on-${strategy}`

  test('arrives in the place of its tenant, changes there, and stays when it is deactivated', async () => {
    const { members, tenant } = installation.tenancy
    const userId = randomUUID()
    expect(await members.put(slug, ann(userId))).toEqual({ ...ann(userId), active: true, anonymised: false })
    expect(await membersIn(slug, userId)).toEqual([])
    expect(await members.deliver()).toEqual({ delivered: 1, waiting: 0, failed: [] })
    expect(await membersIn(slug, userId)).toEqual([
      { name: 'Ann Lee', email: 'ann@acme.example', role: 'owner', active: true },
    ])
    for (const other of [...everyone, 'one', 'two'])
      if (other !== slug) expect(await membersIn(other, userId)).toEqual([])
    await tenant(slug).query('insert into task values (1, $1, $2)', [userId, 'call'])

    await members.put(slug, { ...ann(userId), name: 'Ann Ray', email: null })
    await members.deactivate(slug, userId)
    await members.deactivate(slug, userId)
    expect(await members.deliver()).toMatchObject({ delivered: 1, waiting: 0 })
    expect(await membersIn(slug, userId)).toEqual([
      { name: 'Ann Ray', email: null, role: 'owner', active: false },
    ])
    expect(
      (await tenant(slug).query('select name from task join member on user_id = owner_id')).rows,
    ).toEqual([{ name: 'Ann Ray' }])
    expect(await members.deliver()).toEqual({ delivered: 0, waiting: 0, failed: [] })
  })

  test('is forgotten in every tenant at once, and does not come back', async () => {
    const { members, tenant } = installation.tenancy
    const userId = randomUUID()
    for (const key of [slug, 'one']) await members.put(key, ann(userId))
    await members.deliver()
    await tenant(slug).query('insert into task values (2, $1, $2)', [userId, 'call'])
    // The tenant's own SQL has its copy in hand; that keeps nothing.
    await tenant(slug).query('update member set version = 9223372036854775807 where user_id = $1', [userId])
    expect(await members.anonymise(userId)).toBe(2)
    expect(await members.anonymise(userId)).toBe(0)
    for (const key of [slug, 'one', 'two']) {
      await expect(members.put(key, ann(userId))).rejects.toMatchObject({ code: 'MEMBER_ANONYMISED' })
    }
    expect(await members.deliver()).toMatchObject({ delivered: 2, waiting: 0 })
    for (const key of [slug, 'one']) {
      expect(await membersIn(key, userId)).toEqual([
        { name: 'Former member', email: null, role: 'owner', active: false },
      ])
    }
    await expect(members.put(slug, ann(userId))).rejects.toMatchObject({ code: 'MEMBER_ANONYMISED' })
    const { rows } = await installation.inCatalog(
      `select (select string_agg(row(member.*)::text, '') from catalog.member where user_id = $1)
           || (select string_agg(row(audit.*)::text, '') from catalog.audit where details ->> 'user' = $1::text) as known`,
      [userId],
    )
    expect(rows[0].known).not.toMatch(/Ann|acme\.example/)
  })

  test('waits while its tenant is suspended, and finds it where it has gone meanwhile', async () => {
    const { members, tenants } = installation.tenancy
    const userId = randomUUID()
    await tenants.suspend(slug)
    await members.put(slug, ann(userId))
    await members.put('two', ann(userId))
    expect(await members.deliver()).toEqual({ delivered: 1, waiting: 1, failed: [] })
    expect(await membersIn('two', userId)).toHaveLength(1)
    await tenants.resume(slug)
    await membersIn(slug, userId)
    // What a move leaves behind for whoever remembers the old route.
    const { id } = await tenants.get(slug)
    await installation.asOwner(
      slug,
      'update quickscale.placement set epoch = epoch + 1 where tenant_id = $1',
      [id],
    )
    await installation.inCatalog('update catalog.placement set epoch = epoch + 1 where tenant_id = $1', [id])
    expect(await members.deliver()).toEqual({ delivered: 1, waiting: 0, failed: [] })
    expect(await membersIn(slug, userId)).toHaveLength(1)
  })

  test('arrives once, though the process that brought it was killed before it could say so', async () => {
    const { members } = installation.tenancy
    const userId = randomUUID()
    await members.put(slug, ann(userId))
    const blocker = openCatalog(catalogUrl(), installation.name)
    await blocker.db.transaction().execute(async (transaction) => {
      await sql`lock table catalog.member_outbox in share mode`.execute(transaction)
      const child = deliverInProcess()
      const exit = once(child, 'exit')
      await expect.poll(() => membersIn(slug, userId), { timeout: 30_000 }).toHaveLength(1)
      child.kill('SIGKILL')
      await exit
    })
    await blocker.close()
    // The server may still be at the dead process' last statement, which is behind the version.
    expect((await members.deliver()).waiting).toBe(0)
    expect(await membersIn(slug, userId)).toHaveLength(1)
    const { rows } = await installation.tenancy
      .tenant(slug)
      .query('select version::integer from member where user_id = $1', [userId])
    expect(rows).toEqual([{ version: 1 }])
  })
})

test('an older delivery that arrives late does not undo a newer one', async () => {
  const { members, tenant } = installation.tenancy
  const userId = randomUUID()
  await members.put('one', ann(userId))
  const catalog = openCatalog(catalogUrl(), installation.name)
  let release: () => void = () => undefined
  let reached: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const atPlace = new Promise<void>((resolve) => {
    reached = resolve
  })
  const slow = deliverMembers(
    catalog,
    (key) => {
      const handle = tenant(key)
      const query = async (...parameters: Parameters<typeof handle.query>) => {
        reached()
        await held
        return await handle.query(...parameters)
      }
      return { query: query as typeof handle.query }
    },
    {},
  )
  const outcome = expect(slow).rejects.toMatchObject({ code: 'LOCK_LOST' })
  await atPlace
  // Its process is thought to be dead.
  await installation.inCatalog(
    `select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and granted and datname = current_database() and application_name = 'quickscale locks'`,
  )
  await members.put('one', { ...ann(userId), name: 'Ann Ray' })
  expect(await members.deliver()).toMatchObject({ delivered: 1, waiting: 0 })
  release()
  await outcome
  expect(await membersIn('one', userId)).toEqual([expect.objectContaining({ name: 'Ann Ray' })])
  await catalog.close()
})

test('a tenant that cannot be delivered to keeps nobody waiting, and is tried again later', async () => {
  const { members } = installation.tenancy
  const userId = randomUUID()
  await installation.asOwner('on-database', 'alter table app.member rename to away')
  for (const key of ['on-database', 'on-schema']) await members.put(key, ann(userId))
  const { id } = await installation.tenancy.tenants.get('on-database')
  expect(await members.deliver()).toEqual({
    delivered: 1,
    waiting: 1,
    failed: [{ tenantId: id, changes: 1, error: expect.objectContaining({ code: '42P01' }) }],
  })
  await installation.asOwner('on-database', 'alter table app.away rename to member')
  const { rows } = await installation.inCatalog(
    'select failure, attempts, due_at > clock_timestamp() as rests from catalog.member_outbox',
  )
  expect(rows).toEqual([{ failure: '42P01', attempts: 1, rests: true }])
  await installation.inCatalog('update catalog.member_outbox set due_at = clock_timestamp()')
  expect(await members.deliver()).toEqual({ delivered: 1, waiting: 0, failed: [] })
  expect(await membersIn('on-database', userId)).toHaveLength(1)
})

test('a delivery hands on no more changes than it is told', async () => {
  const { members } = installation.tenancy
  for (let n = 0; n < 3; n += 1) await members.put('two', ann(randomUUID()))
  expect(await members.deliver({ limit: 2 })).toEqual({ delivered: 2, waiting: 1, failed: [] })
  expect(await members.deliver({ limit: 2 })).toEqual({ delivered: 1, waiting: 0, failed: [] })
  const [first, ...more] = await members.list('two')
  expect(await members.list('two', { after: first?.userId ?? '', limit: 1 })).toEqual(more.slice(0, 1))
})

test('what is no member is refused, and nothing is noted', async () => {
  const { members } = installation.tenancy
  const userId = randomUUID()
  for (const [field, wrong] of [
    ['user id', { userId: userId.toUpperCase() }],
    ['user id', { userId: '1' }],
    ['name', { name: ' ' }],
    ['name', { name: 'x'.repeat(201) }],
    ['e-mail address', { email: 'x' }],
    ['role', { role: '' }],
  ] as const) {
    const failure = members.put('one', { ...ann(userId), ...wrong })
    await expect(failure).rejects.toMatchObject({ code: 'MEMBER_INVALID', details: { field } })
  }
  await expect(members.put('nobody', ann(userId))).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  await expect(members.deactivate('one', userId)).rejects.toMatchObject({ code: 'MEMBER_NOT_FOUND' })
  await expect(members.anonymise(userId)).rejects.toMatchObject({ code: 'MEMBER_NOT_FOUND' })
  expect(await members.deliver()).toEqual({ delivered: 0, waiting: 0, failed: [] })
})

test('the catalog forgets the people of a tenant that is deleted', async () => {
  const { members, tenants } = installation.tenancy
  const { id } = await tenants.create({ slug: 'brief', name: 'Brief', plan: 'only' })
  const userId = randomUUID()
  await members.put('brief', ann(userId))
  await tenants.delete('brief')
  const { rows } = await installation.inCatalog('select from catalog.member where tenant_id = $1', [id])
  expect(rows).toEqual([])
  await expect(members.put(id, ann(userId))).rejects.toMatchObject({ code: 'TENANT_DELETED' })
  expect(await members.deliver()).toEqual({ delivered: 0, waiting: 0, failed: [] })
})

function catalogUrl(): string {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${installation.name}_catalog`
  return url.href
}

function deliverInProcess() {
  const script = fileURLToPath(new URL('./support/deliver-members.ts', import.meta.url))
  const config = {
    databaseUrl: inject('databaseUrl'),
    installation: installation.name,
    masterKey: installation.masterKey,
    migrations,
    plans,
  }
  return spawn(process.execPath, ['--conditions=quickscale-source', script, JSON.stringify(config)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

describe.each(strategies)('a tenant that is begun with the %s strategy', (plan) => {
  test('has its first members from the first moment, and is entered when it is finished', async () => {
    const { members, tenants, tenant } = installation.tenancy
    const [userId, stranger] = [randomUUID(), randomUUID()]
    const slug = `begun-${plan}`
    const begun = await tenants.begin({ slug, name: slug, plan, members: [ann(userId)] })
    expect(begun.tenant).toMatchObject({ slug, state: 'provisioning' })
    expect(await members.tenantsOf(userId)).toMatchObject([{ tenant: { slug }, role: 'owner' }])
    expect(await members.tenantsOf(stranger)).toEqual([])
    expect(await begun.finished).toMatchObject({ id: begun.tenant.id, state: 'active' })
    await members.deliver()
    expect(await membersIn(slug, userId)).toHaveLength(1)
    await expect(tenant(slug).query('select 1 as one')).resolves.toMatchObject({ rows: [{ one: 1 }] })
  })
})

test('a tenant that cannot be begun says so, and one with an unusable member is not made', async () => {
  const { tenants } = installation.tenancy
  const wanted = { slug: 'unbegun', name: 'x', plan: 'only' }
  await expect(tenants.begin({ ...wanted, slug: 'one' })).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
  await expect(tenants.begin({ ...wanted, members: [{ ...ann('nobody') }] })).rejects.toMatchObject({
    code: 'MEMBER_INVALID',
  })
  await expect(tenants.get('unbegun')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
})

test('what somebody is in a tenant and above it is known by one question, and ends with membership', async () => {
  const { members, tenants } = installation.tenancy
  const userId = randomUUID()
  for (const [slug, parent] of [
    ['top', undefined],
    ['middle', 'top'],
    ['leaf', 'middle'],
  ] as const) {
    await tenants.create({ slug, name: slug, plan: 'only', ...(parent ? { parent } : {}) })
  }
  await members.put('top', ann(userId))
  const line = async (key: string, user?: string) =>
    (await members.lineage(key, user)).map(({ slug, role }) => `${slug} ${role}`)
  expect(await line('leaf', userId)).toEqual(['leaf null', 'middle null', 'top owner'])
  expect(await line((await tenants.get('top')).id, userId)).toEqual(['top owner'])
  expect(await line('leaf')).toEqual(['leaf null', 'middle null', 'top null'])
  expect(await line('nobody', userId)).toEqual([])
  await members.deactivate('top', userId)
  expect(await line('top', userId)).toEqual(['top null'])
  await expect(members.lineage('Not A Key', userId)).rejects.toMatchObject({ code: 'TENANT_KEY_INVALID' })
})

test('the control plane keeps tables of the application, and lets none of its own schemas be taken', async () => {
  const { controlPlane, tenants } = installation.tenancy
  const directory = fileURLToPath(new URL('./support/control-plane', import.meta.url))
  await Promise.all([controlPlane.upgrade('billing', directory), controlPlane.upgrade('billing', directory)])
  const db = controlPlane.kysely<{ invoice: { tenant_id: string; amount: number } }>('billing')
  const { id } = await tenants.get('one')
  await db.insertInto('invoice').values({ tenant_id: id, amount: 12 }).execute()
  expect(await db.selectFrom('invoice').selectAll().execute()).toEqual([{ tenant_id: id, amount: 12 }])
  await expect(
    db.insertInto('invoice').values({ tenant_id: randomUUID(), amount: 1 }).execute(),
  ).rejects.toMatchObject({ code: '23503' })
  for (const schema of ['catalog', 'public', 'pg_temp', 'quickscale', 'A"; drop schema catalog']) {
    await expect(controlPlane.upgrade(schema, directory)).rejects.toMatchObject({
      code: 'IDENTIFIER_INVALID',
    })
    expect(() => controlPlane.kysely(schema)).toThrow('IDENTIFIER_INVALID')
  }
})
