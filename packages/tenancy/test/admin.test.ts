// The unscoped path: what it can do and what not, that every use is written down first, and that nobody slips into it.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const use = { who: 'the test', why: 'to see what it can do' }

describe.each(strategies)('the unscoped path under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
  })
  afterAll(() => installation.close())
  beforeEach(async () => {
    for (const slug of ['one', 'two']) {
      const tenant = installation.tenancy.tenant(slug)
      await tenant.query('delete from note')
      await tenant.query('insert into note (id, body) values (1, $1)', [`of ${slug}`])
    }
    await installation.inCatalog("delete from catalog.audit where action like 'admin.%'")
  })

  const audited = async () =>
    (
      await installation.inCatalog(
        "select action, tenant_id, details from catalog.audit where action like 'admin.%' order by id",
      )
    ).rows
  const bodies = async (slug: string) =>
    (await installation.tenancy.tenant(slug).query('select body from note order by id')).rows.map(
      (row) => row.body,
    )

  test('reaches the rows of a place without a tenant, and changes them in one transaction', async () => {
    const { id } = await installation.tenancy.tenants.get('one')
    const { schemaName } = await installation.tenancy.tenants.placement('one')
    const changed = await installation.tenancy.admin.transaction(
      { ...use, tenant: 'one' },
      async (transaction) => {
        expect(transaction.schemaName).toBe(schemaName)
        await transaction.query('insert into note (id, body, tenant_id) values (2, $1, $2)', ['made', id])
        return (await transaction.query("update note set body = body || '!'")).rowCount
      },
    )
    expect(changed).toBe(strategy === 'rls' ? 3 : 2)
    expect(await bodies('one')).toEqual(['of one!', 'made!'])
    expect(await bodies('two')).toEqual([strategy === 'rls' ? 'of two!' : 'of two'])
    const failing = installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, async (transaction) => {
      await transaction.query('delete from note')
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await bodies('one')).toEqual(['of one!', 'made!'])
  })

  test('is written down before and after, with who and why, and not taken where it cannot be', async () => {
    const { id } = await installation.tenancy.tenants.get('one')
    await installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
      transaction.query('select 1'),
    )
    const broken = installation.tenancy.admin.transaction(use, (transaction) =>
      transaction.query('select 1 / 0'),
    )
    await expect(broken).rejects.toMatchObject({ code: '22012' })
    expect(await audited()).toMatchObject([
      { action: 'admin.begun', tenant_id: id, details: use },
      { action: 'admin.committed', tenant_id: id, details: { ...use, statements: 1 } },
      { action: 'admin.begun', tenant_id: null, details: { ...use, database: `${installation.name}_pool` } },
      { action: 'admin.failed', tenant_id: null, details: { ...use, statements: 1, reason: '22012' } },
    ])
    for (const wrong of [
      { who: '', why: 'x' },
      { who: 'x', why: '  ' },
      { who: 'x'.repeat(201), why: 'x' },
      {},
    ]) {
      const unexplained = installation.tenancy.admin.transaction(wrong as typeof use, async () => 'reached')
      await expect(unexplained).rejects.toMatchObject({ code: 'ADMIN_UNEXPLAINED' })
    }
    await installation.inCatalog('alter table catalog.audit rename to audit_away')
    try {
      const unaudited = installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
        transaction.query('delete from note'),
      )
      await expect(unaudited).rejects.toThrow()
    } finally {
      await installation.inCatalog('alter table catalog.audit_away rename to audit')
    }
    expect(await bodies('one')).toEqual(['of one'])
  })

  test.each([
    'create table x (id integer)',
    'alter table note add column x integer',
    'drop table note',
    'truncate note',
    'alter table note no force row level security',
    'select * from quickscale.token_key',
    'select * from quickscale.context_key',
    "update quickscale.placement set state = 'active'",
    'set role quickscale_owner',
    'set role quickscale_migrator',
    'set role quickscale_seal',
    'commit',
    'commit and chain',
    'select 1; rollback; select 2',
    'begin',
    "prepare transaction 'x'",
    'do $$ begin commit; end $$',
    'abort',
  ])('cannot %s', async (text) => {
    const trying = installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
      transaction.query(text),
    )
    await expect(trying).rejects.toThrow()
    expect(await bodies('one')).toEqual(['of one'])
  })

  test('keeps to the tenant of a private place even so', async () => {
    const { id } = await installation.tenancy.tenants.get('two')
    const planting = installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
      transaction.query('insert into note (id, tenant_id) values (9, $1)', [id]),
    )
    if (strategy === 'rls') await planting
    else await expect(planting).rejects.toMatchObject({ code: '23514' })
  })

  test('waits for whoever freezes the database, and so does a migration', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('one')
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${databaseName}`
    const mover = new pg.Client({ connectionString: url.href })
    await mover.connect()
    await installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
      transaction.query('select 1'),
    )
    await mover.query(
      "begin; select pg_advisory_xact_lock(hashtextextended('quickscale unscoped writers', 0))",
    )
    const order: string[] = []
    const writing = installation.tenancy.admin
      .transaction({ ...use, tenant: 'one' }, (transaction) =>
        transaction.query("update note set body = 'late'"),
      )
      .then(() => order.push('script'))
    const migrating = installation.tenancy.migrate().then(() => order.push('migration'))
    await sleep(500)
    order.push('thawed')
    await mover.query('commit')
    await Promise.all([writing, migrating])
    expect(order[0]).toBe('thawed')
    expect(order).toHaveLength(3)
    await mover.end()
  })

  test('is closed to the sessions of tenants', async () => {
    await installation.tenancy.admin.transaction({ ...use, tenant: 'one' }, (transaction) =>
      transaction.query('select 1'),
    )
    const { rows } = await installation.inCatalog(
      "select role_name from catalog.login where purpose = 'unscoped'",
    )
    const login = await installation.loginTo('one')
    for (const role of ['quickscale_unscoped', rows[0].role_name]) {
      await expect(login.query(`set role ${pg.escapeIdentifier(role)}`), role).rejects.toMatchObject({
        code: '42501',
      })
    }
    await expect(login.query('select quickscale.enter_unscoped()')).rejects.toMatchObject({ code: '42501' })
    await login.end()
    await expect(
      installation.tenancy.tenant('one').query('select quickscale.enter_unscoped()'),
    ).rejects.toMatchObject({ code: '42501' })
    expect(Object.keys(installation.tenancy.tenant('one'))).not.toContain('admin')
  })
})

test('a login of one database opens no other', async () => {
  const installation = await TestInstallation.open('database')
  try {
    for (const slug of ['one', 'two']) {
      await installation.tenancy.admin.transaction({ ...use, tenant: slug }, (transaction) =>
        transaction.query('select 1'),
      )
    }
    const { rows } = await installation.inCatalog(
      `select login.role_name, database.name from catalog.login cross join catalog.database
        where login.database_id <> database.id and database.kind <> 'template'`,
    )
    expect(rows.length).toBeGreaterThan(3)
    for (const { role_name: role, name } of rows) {
      const allowed = await installation.inCatalog(
        "select has_database_privilege($1, $2, 'connect') as allowed",
        [role, name],
      )
      expect(allowed.rows, `${role} in ${name}`).toEqual([{ allowed: false }])
    }
    expect(
      (await installation.tenancy.doctor()).findings.filter(({ check }) => check === 'database-open'),
    ).toEqual([])
  } finally {
    await installation.close()
  }
})
