import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { resettingState } from '../../../test/support/reset-state.ts'
import { decrypt, localKeyProvider, type Strategy, type TenantState } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const states = ['provisioning', 'active', 'suspended', 'archived', 'deleting', 'deleted'] as const
/** What may follow what; everything else is to be refused. */
const legal: Readonly<Record<TenantState, readonly TenantState[]>> = {
  provisioning: ['active', 'deleting'],
  active: ['suspended', 'archived', 'deleting'],
  suspended: ['active', 'archived', 'deleting'],
  archived: ['active', 'deleting'],
  deleting: ['deleted'],
  deleted: [],
}
const fenceStates = ['pending', 'active', 'suspended', 'archived', 'moved', 'deleting'] as const
const closed = ['active', 'suspended', 'archived', 'moved', 'deleting'] as const
const legalFences: Readonly<Record<(typeof fenceStates)[number], readonly string[]>> = {
  pending: ['active', 'suspended', 'archived', 'deleting'],
  active: closed,
  suspended: closed,
  archived: closed,
  // Only a later epoch opens it again.
  moved: [],
  deleting: [],
}

describe.each(strategies)('a tenant under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let id: string
  let url: string

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    id = (await installation.tenancy.tenants.get('one')).id
    const { databaseName } = await installation.tenancy.tenants.placement('one')
    const parsed = new URL(inject('databaseUrl'))
    parsed.pathname = `/${databaseName}`
    url = parsed.href
    await installation.tenancy.tenant('one').query("insert into note (id, body) values (1, 'kept')")
  })
  afterAll(() => installation.close())

  const read = async () => (await installation.tenancy.tenant('one').query('select body from note')).rows
  const refused = (code: string) =>
    expect(installation.tenancy.tenant('one').query('select 1')).rejects.toMatchObject({ code })

  test('is suspended, resumed and archived, any of it twice, and keeps its rows', async () => {
    const { tenants } = installation.tenancy
    const two = await installation.another(strategy)
    await two.tenant('one').query('select 1')
    for (const [act, state, code] of [
      [tenants.suspend, 'suspended', 'TENANT_SUSPENDED'],
      [tenants.archive, 'archived', 'TENANT_ARCHIVED'],
    ] as const) {
      for (const _ of [1, 2])
        expect(await act('one', { reason: 'r' })).toMatchObject({ state, settled: true })
      await refused(code)
      // Its route is still cached there: the fence refuses.
      await expect(two.tenant('one').query('select 1')).rejects.toMatchObject({ code })
      expect((await installation.tenancy.tenant('two').query('select 1 as one')).rows).toEqual([{ one: 1 }])
      for (const _ of [1, 2]) expect(await tenants.resume('one')).toMatchObject({ state: 'active' })
      expect(await read()).toEqual([{ body: 'kept' }])
    }
    const { rows } = await installation.inCatalog(
      "select action, details from catalog.audit where tenant_id = $1 and action <> 'tenant.created' order by id",
      [id],
    )
    expect(rows).toEqual([
      { action: 'tenant.suspended', details: { from: 'active', reason: 'r' } },
      { action: 'tenant.resumed', details: { from: 'suspended' } },
      { action: 'tenant.archived', details: { from: 'active', reason: 'r' } },
      { action: 'tenant.resumed', details: { from: 'archived' } },
    ])
  })

  test('that several have suspended opens when the last of them resumes it, whichever comes first', async () => {
    const { tenants } = installation.tenancy
    const causes = async () => (await tenants.suspensions('one')).map(({ cause }) => cause)
    const billing = { cause: 'billing' }
    for (const [first, second] of [
      [billing, {}],
      [{}, billing],
    ]) {
      await tenants.suspend('one', { ...first, reason: 'the first' })
      await tenants.suspend('one', { ...second, reason: 'the second' })
      await tenants.suspend('one', { ...second, reason: 'once more' })
      const [, later] = await tenants.suspensions('one')
      expect(later).toMatchObject({ reason: 'the second' })
      for (const _ of [1, 2])
        expect(await tenants.resume('one', billing)).toMatchObject({ state: 'suspended' })
      await refused('TENANT_SUSPENDED')
      expect(await causes()).toEqual(['operator'])
      expect(await tenants.resume('one', { cause: 'operator' })).toMatchObject({ state: 'active' })
      expect([await read(), await causes()]).toEqual([[{ body: 'kept' }], []])
    }
    for (const cause of ['billing', 'abuse']) await tenants.suspend('one', { cause })
    expect(
      await Promise.all(['abuse', 'billing'].map((cause) => tenants.resume('one', { cause }))),
    ).toMatchObject([{ state: 'suspended' }, { state: 'active' }])
    await tenants.suspend('one', billing)
    await tenants.archive('one')
    expect(await tenants.resume('one', billing)).toMatchObject({ state: 'archived' })
    await tenants.suspend('two', billing)
    // Whoever names no cause opens whatever keeps it closed.
    expect(await tenants.resume('two')).toMatchObject({ state: 'active' })
    expect(await tenants.resume('two', billing)).toMatchObject({ state: 'active' })
    await tenants.resume('one')
    for (const reason of ['', 'x'.repeat(1_001), 'a\0b']) {
      await expect(tenants.suspend('one', { reason })).rejects.toMatchObject({
        code: 'TENANT_INVALID',
        details: { field: 'reason' },
      })
    }
    await expect(tenants.suspend('one', { cause: 'No Word' })).rejects.toMatchObject({
      code: 'TENANT_INVALID',
      details: { field: 'cause' },
    })
    expect(await read()).toEqual([{ body: 'kept' }])
  })

  test('that an older process has suspended, of which no cause is known, is opened by an operator only', async () => {
    const { tenants } = installation.tenancy
    const billing = { cause: 'billing' }
    await tenants.suspend('one')
    await installation.inCatalog('delete from catalog.suspension where tenant_id = $1', [id])
    expect(await tenants.resume('one', billing)).toMatchObject({ state: 'suspended' })
    await refused('TENANT_SUSPENDED')
    // Who suspends it then takes back that only.
    await tenants.suspend('one', billing)
    expect(await tenants.resume('one', { cause: 'abuse' })).toMatchObject({ state: 'suspended' })
    expect(await tenants.suspensions('one')).toMatchObject([billing])
    await installation.inCatalog('delete from catalog.suspension where tenant_id = $1', [id])
    expect(await tenants.resume('one')).toMatchObject({ state: 'active', settled: true })
    expect(await read()).toEqual([{ body: 'kept' }])
  })

  test('in an illegal transition is refused by name', async () => {
    const { tenants } = installation.tenancy
    await tenants.archive('one')
    await expect(tenants.suspend('one')).rejects.toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      details: { from: 'archived', to: 'suspended' },
    })
    await tenants.resume('one')
  })

  test('in an illegal transition is refused by its place', async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const attempt = (sql: string) =>
      client.query(sql).then(
        () => 'done',
        (error: { code: string }) => error.code,
      )
    const set = (state: string) =>
      `update quickscale.placement set state = '${state}', destination = ${state === 'moved' ? "'there'" : 'null'}
        where tenant_id = '${id}'`
    try {
      for (const from of fenceStates) {
        for (const to of fenceStates) {
          await client.query(resettingState('quickscale.placement', set(from)))
          const expected = from === to || legalFences[from].includes(to) ? 'done' : 'QS007'
          expect({ from, to, outcome: await attempt(set(to)) }).toEqual({ from, to, outcome: expected })
        }
        await client.query(resettingState('quickscale.placement', set(from)))
        await client.query('begin')
        const outcome = await attempt(`delete from quickscale.placement where tenant_id = '${id}'`)
        await client.query('rollback')
        const expected = ['pending', 'moved', 'deleting'].includes(from) ? 'done' : 'QS007'
        expect({ from, outcome }).toEqual({ from, outcome: expected })
        const inserted = `insert into quickscale.placement values (gen_random_uuid(), 1, '${from}', 'app', ${from === 'moved' ? "'there'" : 'null'})`
        await client.query('begin')
        expect({ from, outcome: await attempt(inserted) }).toEqual({
          from,
          outcome: from === 'pending' || from === 'active' ? 'done' : 'QS007',
        })
        await client.query('rollback')
      }
      await client.query(resettingState('quickscale.placement', set('moved')))
      await client.query('begin')
      expect(await attempt(set('active').replace('set ', 'set epoch = epoch + 2, '))).toBe('done')
      expect(await attempt(`update quickscale.placement set epoch = 1 where tenant_id = '${id}'`)).toBe(
        'QS007',
      )
      await client.query('rollback')
    } finally {
      await client.query(resettingState('quickscale.placement', set('active')))
      await client.end()
    }
    expect(await read()).toEqual([{ body: 'kept' }])
  })

  test('that is closed is nobody inside any more: open transactions are given their grace, then ended', async () => {
    const one = installation.tenancy.tenant('one')
    for (const isolation of ['read committed', 'serializable'] as const) {
      let suspended: Promise<unknown> | undefined
      const work = one.transaction(
        async (transaction) => {
          await transaction.query("insert into note (id, body) values (2, 'late')")
          suspended = installation.tenancy.tenants.suspend('one', { graceMs: 200 })
          await suspended
        },
        { isolation },
      )
      await expect(work).rejects.toThrow()
      await suspended
      await refused('TENANT_SUSPENDED')
      await installation.tenancy.tenants.resume('one')
      expect(await read()).toEqual([{ body: 'kept' }])
    }
  })

  test('that is closed while a transaction is about to end lets it commit', async () => {
    const one = installation.tenancy.tenant('one')
    let suspended: Promise<unknown> | undefined
    await one.transaction(async (transaction) => {
      await transaction.query("insert into note (id, body) values (3, 'in time')")
      suspended = installation.tenancy.tenants.suspend('one')
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    await suspended
    await installation.tenancy.tenants.resume('one')
    await one.query('delete from note where id = 3')
  })

  test('whose suspension was interrupted is suspended when it is repeated, or by the sweep', async () => {
    const set = (state: string) =>
      installation.inCatalog('update catalog.tenant set state = $2, settled = false where id = $1', [
        id,
        state,
      ])
    await set('suspended')
    expect(await installation.tenancy.tenants.suspend('one')).toMatchObject({ settled: true })
    await refused('TENANT_SUSPENDED')
    await set('active')
    expect(await installation.tenancy.tenants.sweep()).toEqual({ settled: 1, removed: 0, failed: [] })
    expect(await read()).toEqual([{ body: 'kept' }])
    expect(await installation.tenancy.tenants.sweep()).toEqual({ settled: 0, removed: 0, failed: [] })
  })
})

test('the catalog refuses every transition but the legal ones, whoever asks', async () => {
  const installation = await TestInstallation.open('rls')
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${installation.name}_catalog`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    const { id } = await installation.tenancy.tenants.get('one')
    const set = (state: string) => `update catalog.tenant set state = '${state}' where id = '${id}'`
    for (const from of states) {
      for (const to of states) {
        await client.query(resettingState('catalog.tenant', set(from)))
        const outcome = await client.query(set(to)).then(
          () => 'done',
          (error: { code: string }) => error.code,
        )
        const expected = from === to || legal[from].includes(to) ? 'done' : 'QS007'
        expect({ from, to, outcome }).toEqual({ from, to, outcome: expected })
      }
      await client.query(resettingState('catalog.tenant', set(from)))
      const going = client.query(`delete from catalog.tenant where id = '${id}' and state <> 'deleted'`)
      if (from === 'deleted') await going
      else await expect(going).rejects.toMatchObject({ code: expect.stringMatching(/^(QS007|23503)$/) })
      await client.query('begin')
      const beginning = client.query(
        `insert into catalog.tenant (id, slug, name, plan_id, state) values (gen_random_uuid(), 'x', 'x', 'only', '${from}')`,
      )
      if (from === 'provisioning') await beginning
      else await expect(beginning).rejects.toMatchObject({ code: 'QS007' })
      await client.query('rollback')
    }
  } finally {
    await client.end()
    await installation.close()
  }
})

describe('the login of a tenant with its own database', () => {
  test('is refused by the tables from the suspension on, and what it had open is ended', async () => {
    const installation = await TestInstallation.open('database')
    try {
      const { tenants } = installation.tenancy
      const login = await installation.loginTo('one')
      const ended = new Promise((resolve) => login.on('error', resolve))
      const { rows } = await login.query("select pg_has_role('quickscale_silo', 'member') as member")
      expect(rows).toEqual([{ member: true }])
      await login.query('begin; select 1')
      await tenants.suspend('one', { graceMs: 100 })
      await ended
      const again = await installation.loginTo('one')
      await expect(again.query('select * from app.note')).rejects.toMatchObject({ code: '42501' })
      await again.end()
      await tenants.resume('one')
      expect((await installation.tenancy.tenant('one').query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(
        (await installation.onRawConnection('one', 'select count(*)::integer as n from app.note')).rows,
      ).toEqual([{ n: 0 }])
    } finally {
      await installation.close()
    }
  })

  test('is not the only one that is ended: unscoped work and readers are too', async () => {
    const installation = await TestInstallation.open('database')
    try {
      const { tenants, admin, fleet } = installation.tenancy
      for await (const { error } of fleet.query('select count(*) from note')) expect(error).toBeNull()
      const { databaseName, databaseId } = await tenants.placement('one')
      const reader = await readerOf(installation, databaseName, databaseId)
      const readerEnded = new Promise((resolve) => reader.on('error', resolve))
      await reader.query('begin')
      const use = { who: 'ann', why: 'a repair', tenant: 'one' }
      const unscoped = admin.transaction(use, async (tx) => {
        await tx.query('select count(*) from note')
        const { rows } = await installation.inCatalog(
          `select count(*)::integer as open from pg_stat_activity where datname = $1 and usename = $2 and state <> 'idle'`,
          [databaseName, `${databaseName}_unscoped`],
        )
        expect(rows).toEqual([{ open: 1 }])
        await tenants.suspend('one', { graceMs: 100 })
        return await tx.query('select 1')
      })
      await readerEnded
      await expect(unscoped).rejects.toThrow(/terminat|connection/)
      const { rows } = await installation.inCatalog(
        "select usename from pg_stat_activity where datname = $1 and state <> 'idle' and usename <> current_user",
        [databaseName],
      )
      expect(rows).toEqual([])
    } finally {
      await installation.close()
    }
  })

  test('does not stay a member because somebody else has granted the membership', async () => {
    const installation = await TestInstallation.open('database')
    try {
      const { databaseName } = await installation.tenancy.tenants.placement('one')
      const role = `"${databaseName}"`
      await installation.inCatalog(
        `create role "${installation.name}_other" nologin createrole;
         grant quickscale_silo to "${installation.name}_other" with admin option;
         set role "${installation.name}_other"; grant quickscale_silo to ${role}; reset role`,
      )
      const outcome = await installation.tenancy.tenants.suspend('one').then(
        () => 'suspended',
        (error: { code: string }) => error.code,
      )
      // From 16 on each grantor has a grant of its own; before, the second one was none.
      const { rows } = await installation.inCatalog(
        "select pg_has_role($1, 'quickscale_silo', 'member') as member",
        [databaseName],
      )
      expect({ outcome, ...rows[0] }).toEqual(
        rows[0].member ? { outcome: 'ROLE_UNSAFE', member: true } : { outcome: 'suspended', member: false },
      )
      await installation.inCatalog(`drop owned by "${installation.name}_other" cascade`)
    } finally {
      await installation.close()
    }
  })
})

/** A connection as the role of fleet queries. */
async function readerOf(
  installation: TestInstallation,
  databaseName: string,
  databaseId: string,
): Promise<pg.Client> {
  const { rows } = await installation.inCatalog(
    `select role_name, credential from catalog.login where database_id = $1 and purpose = 'reader'`,
    [databaseId],
  )
  const keys = localKeyProvider(Buffer.from(installation.masterKey, 'base64'))
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  url.username = rows[0].role_name
  url.password = await decrypt(keys, rows[0].credential, `reader login of database ${databaseId}`)
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return client
}
