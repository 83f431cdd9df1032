import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { resettingState } from '../../../test/support/reset-state.ts'
import { createTenancy, decrypt, localKeyProvider, type Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('provisioning under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation | undefined
  afterEach(async () => {
    await installation?.close()
    installation = undefined
  })

  test('refuses a slug that is taken, a plan, a key and a name that are none, before anything is made', async () => {
    installation = await TestInstallation.open(strategy)
    const { tenants } = installation.tenancy
    const refusals = [
      [{ slug: 'one', name: 'x', plan: 'only' }, 'TENANT_EXISTS'],
      [{ slug: 'new', name: 'x', plan: 'none' }, 'PLAN_UNKNOWN'],
      [{ slug: 'new', name: 'x', plan: 'toString' }, 'PLAN_UNKNOWN'],
      [{ slug: 'New', name: 'x', plan: 'only' }, 'TENANT_KEY_INVALID'],
      [{ slug: '0198c0de-0000-7000-8000-000000000000', name: 'x', plan: 'only' }, 'TENANT_KEY_INVALID'],
      [{ slug: 'new', name: ' ', plan: 'only' }, 'TENANT_INVALID'],
      [{ slug: 'new', name: 'x\0', plan: 'only' }, 'TENANT_INVALID'],
      [{ slug: 'new', name: '\ud800', plan: 'only' }, 'TENANT_INVALID'],
      [{ slug: 'new', name: 'x', plan: 'only', id: 'new' }, 'TENANT_INVALID'],
      [{ slug: 'new', name: 'x', plan: 'only', parent: 'nobody' }, 'TENANT_NOT_FOUND'],
    ] as const
    for (const [wanted, code] of refusals)
      await expect(tenants.create(wanted)).rejects.toMatchObject({ code })
    const ahead = await installation.another(strategy, { plans: { later: { strategy } } })
    await expect(ahead.tenants.create({ slug: 'new', name: 'x', plan: 'later' })).rejects.toMatchObject({
      code: 'PLAN_UNKNOWN',
      remedy: expect.stringContaining('migrate()'),
    })
    expect((await tenants.list()).tenants.map((tenant) => tenant.slug)).toEqual(['one', 'two'])
  })

  test('lists, pages and filters, and records who created what', async () => {
    installation = await TestInstallation.open(strategy)
    const { tenants } = installation.tenancy
    const child = await tenants.create({ slug: 'child', name: ' Child ', plan: 'only', parent: 'one' })
    expect(child).toMatchObject({ name: 'Child', state: 'active', parentId: (await tenants.get('one')).id })
    const first = await tenants.list({ limit: 2 })
    expect([first.tenants.map((tenant) => tenant.slug), first.next]).toEqual([['child', 'one'], 'one'])
    const second = await tenants.list({ limit: 2, after: 'one' })
    expect([second.tenants.map((tenant) => tenant.slug), second.next]).toEqual([['two'], null])
    expect((await tenants.list({ state: 'suspended' })).tenants).toEqual([])
    const { rows } = await installation.inCatalog(
      "select tenant_id from catalog.audit where action = 'tenant.created'",
    )
    expect(rows.map((row) => row.tenant_id)).toContain(child.id)
  })

  test('takes a tenant away again when its seed fails, and makes it when the seed has been mended', async () => {
    let broken = false
    installation = await TestInstallation.open(strategy, {
      seed: async (tenant) => {
        await tenant.query("insert into author (id, name) values (1, 'Seeded') on conflict do nothing")
        if (broken) throw new Error('seed is broken')
      },
    })
    broken = true
    const wanted = { slug: 'three', name: 'Three', plan: 'only', id: '0198c0de-0000-7000-8000-00000000000c' }
    await expect(installation.tenancy.tenants.create(wanted)).rejects.toThrow('seed is broken')
    await expect(installation.tenancy.tenants.get('three')).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    })
    const hex = wanted.id.replaceAll('-', '')
    const left = await installation.inCatalog(
      `select datname as name from pg_database where datname like '%' || $1
       union all select rolname from pg_roles where rolname like '%' || $1`,
      [hex],
    )
    expect(left.rows).toEqual([])
    if (strategy !== 'database') {
      const shared = `${installation.name}_pool`
      const rows = await installation.inDatabase(
        shared,
        `select nspname::text as what from pg_namespace where nspname like '%' || $1
         union all select tenant_id::text from app.author where tenant_id = $2
         union all select tenant_id::text from quickscale.placement where tenant_id = $2`,
        [hex, wanted.id],
      )
      expect(rows.rows).toEqual([])
    }
    broken = false
    await installation.tenancy.tenants.create(wanted)
    const { rows } = await installation.tenancy.tenant('three').query('select name from author')
    expect(rows).toEqual([{ name: 'Seeded' }])
  })

  test('goes on where an interrupted attempt stopped, wherever that was', async () => {
    installation = await TestInstallation.open(strategy)
    const three = { slug: 'three', name: 'Three', plan: 'only' }
    const { id } = await installation.tenancy.tenants.create(three)
    const { databaseName } = await installation.tenancy.tenants.placement('three')
    // Back through the steps, as if the process had died after each of them.
    const interruptions = [
      async () => undefined,
      () =>
        installation?.inDatabase(
          databaseName,
          resettingState(
            'quickscale.placement',
            `delete from quickscale.placement where tenant_id = '${id}'`,
          ),
        ),
      () => installation?.inCatalog('delete from catalog.placement where tenant_id = $1', [id]),
      () =>
        installation?.inCatalog(
          "update catalog.database set ready = false, credential = null where kind = 'silo' and name = $1",
          [databaseName],
        ),
    ]
    for (const interrupt of interruptions) {
      await interrupt()
      await installation.inCatalog(
        resettingState(
          'catalog.tenant',
          `update catalog.tenant set state = 'provisioning' where id = '${id}'`,
        ),
      )
      const other = await installation.another(strategy)
      await expect(other.tenant('three').query('select 1')).rejects.toThrow()
      expect(await other.tenants.create(three)).toMatchObject({ id, state: 'active' })
      expect((await other.tenant('three').query('select count(*)::integer as count from note')).rows).toEqual(
        [{ count: 0 }],
      )
    }
  })

  test('is finished when a process starts, by any number of them; one that cannot be made is taken away', async () => {
    installation = await TestInstallation.open(strategy)
    const { inCatalog, tenancy, name } = installation
    const reset = (slug: string, more = '') =>
      inCatalog.call(
        installation,
        resettingState(
          'catalog.tenant',
          `update catalog.tenant set state = 'provisioning', settled = false${more} where slug = '${slug}'`,
        ),
      )
    await tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only' })
    await inCatalog.call(
      installation,
      "update catalog.tenant set state = 'deleting', settled = false where slug = 'two'",
    )
    await reset('three')
    await Promise.all([0, 1].map(() => installation?.another(strategy, { sweepOnStart: true })))
    expect((await tenancy.tenants.list({ state: 'active' })).tenants.map(({ slug }) => slug)).toEqual([
      'one',
      'three',
    ])
    expect((await tenancy.tenants.list({ state: 'deleted' })).tenants.map(({ slug }) => slug)).toEqual([
      'two',
    ])
    await tenancy.tenants.create({ slug: 'four', name: 'Four', plan: 'only' })
    await reset('four', ', activated_at = null')
    const broken = async () => {
      throw new Error('seed is broken')
    }
    await installation.another(strategy, { sweepOnStart: true, seed: broken })
    await expect(tenancy.tenants.get('four')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    // Before the first migrate() there is nothing to sweep.
    const fresh = await installation.another(strategy, { sweepOnStart: true, installation: `${name}x` })
    await expect(fresh.tenants.list()).rejects.toMatchObject({ code: 'NOT_INSTALLED' })
  })

  test('makes one tenant when asked for the same one twice at the same time', async () => {
    installation = await TestInstallation.open(strategy)
    const { tenants } = installation.tenancy
    const attempts = await Promise.allSettled(
      Array.from({ length: 3 }, () => tenants.create({ slug: 'three', name: 'Three', plan: 'only' })),
    )
    const made = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value.id] : []))
    expect(new Set(made).size).toBe(1)
    expect((await installation.tenancy.tenant('three').query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('is repeatable: migrate() finds nothing to do', async () => {
    installation = await TestInstallation.open(strategy)
    expect(await installation.tenancy.migrate()).toMatchObject({ applied: 0 })
  })
})

describe('credentials', () => {
  test('are never stored readable, and open only with the master key', async () => {
    const installation = await TestInstallation.open('database')
    try {
      const { databaseId } = await installation.tenancy.tenants.placement('one')
      const { rows } = await installation.inCatalog('select credential from catalog.database where id = $1', [
        databaseId,
      ])
      const keys = localKeyProvider(Buffer.from(installation.masterKey, 'base64'))
      const password = await decrypt(keys, rows[0].credential, `login of database ${databaseId}`)
      expect(password).toMatch(/^[\w-]{32}$/)
      expect(JSON.stringify(rows[0].credential)).not.toContain(password)
      await expect(decrypt(keys, rows[0].credential, 'login of another')).rejects.toMatchObject({
        code: 'CREDENTIAL_UNREADABLE',
      })
      await expect(
        decrypt(localKeyProvider(randomBytes(32)), rows[0].credential, `login of database ${databaseId}`),
      ).rejects.toMatchObject({
        code: 'CREDENTIAL_UNREADABLE',
      })
    } finally {
      await installation.close()
    }
  })

  test('of a silo open no other database, and their role owns nothing', async () => {
    const installation = await TestInstallation.open('database')
    try {
      const [one, two] = await Promise.all(
        ['one', 'two'].map((slug) => installation.tenancy.tenants.placement(slug)),
      )
      const { rows } = await installation.inCatalog(
        `select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolconnlimit > 0 as limited,
                has_database_privilege(rolname, $2, 'connect') as own,
                has_database_privilege(rolname, $3, 'connect') as other,
                has_database_privilege(rolname, current_database(), 'connect') as catalog,
                has_database_privilege(rolname, $2, 'temp') as temporary
           from pg_roles where rolname = $1`,
        [one?.databaseName, one?.databaseName, two?.databaseName],
      )
      expect(rows).toEqual([
        {
          rolsuper: false,
          rolbypassrls: false,
          rolcreatedb: false,
          rolcreaterole: false,
          limited: true,
          own: true,
          other: false,
          catalog: false,
          temporary: false,
        },
      ])
    } finally {
      await installation.close()
    }
  })

  test('of another installation are of no use: a wrong master key is told apart from a missing tenant', async () => {
    const plans = { only: { strategy: 'rls' }, own: { strategy: 'database' } } as const
    const installation = await TestInstallation.open('rls', { plans })
    const stranger = await createTenancy({
      databaseUrl: inject('databaseUrl'),
      installation: installation.name,
      masterKey: randomBytes(32).toString('base64'),
      migrations: [],
      plans,
    })
    try {
      await expect(stranger.tenant('one').query('select 1')).rejects.toMatchObject({
        code: 'CREDENTIAL_UNREADABLE',
      })
      // What is installed over the keys of databases would lock everybody else out.
      const wrong = { code: 'MASTER_KEY_WRONG', message: expect.stringContaining(installation.name) }
      await expect(stranger.migrate()).rejects.toMatchObject(wrong)
      await expect(stranger.keys.rotate({ graceSeconds: 0 })).rejects.toMatchObject(wrong)
      await expect(
        stranger.tenants.create({ slug: 'three', name: 'Three', plan: 'own' }),
      ).rejects.toMatchObject(wrong)
      await expect(stranger.moves.start('one', { to: 'database' })).rejects.toMatchObject(wrong)
      expect(await installation.tenancy.moves.list()).toEqual([])
      await expect(installation.tenancy.tenants.get('three')).rejects.toThrow('TENANT_NOT_FOUND')
      const served = await installation.another('rls')
      expect((await served.tenant('one').query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect((await served.doctor()).ok).toBe(true)
    } finally {
      await stranger.close()
      await installation.close()
    }
  })
})
