import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { createTenancy, type KeyProvider, localKeyProvider } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const absent = () =>
  createTenancy({
    databaseUrl: inject('databaseUrl'),
    installation: `t_${randomBytes(5).toString('hex')}`,
    masterKey: randomBytes(32).toString('base64'),
    migrations: [],
  })

test('an installation that does not exist is named as that, whatever is asked of it', async () => {
  const tenancy = await absent()
  const refused = { code: 'NOT_INSTALLED' }
  await expect(tenancy.tenants.list()).rejects.toMatchObject(refused)
  await expect(tenancy.tenants.get('one')).rejects.toMatchObject(refused)
  await expect(tenancy.tenants.placement('one')).rejects.toMatchObject(refused)
  await expect(tenancy.tenants.create({ slug: 'one', name: 'One', plan: 'free' })).rejects.toMatchObject(
    refused,
  )
  await expect(tenancy.tenant('one').query('select 1')).rejects.toMatchObject(refused)
  await tenancy.close()
})

describe('an installation', () => {
  let installation: TestInstallation
  const wrapped: string[] = []
  const local = localKeyProvider(randomBytes(32))
  const keyProvider: KeyProvider = {
    keyId: 'outside',
    wrap: (dataKey) => local.wrap(dataKey),
    unwrap: (dataKey, keyId) => {
      wrapped.push(keyId)
      return local.unwrap(dataKey, keyId)
    },
  }
  const plans = Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }]))

  beforeAll(async () => {
    installation = await TestInstallation.open('rls', {
      plans: { only: { strategy: 'rls' }, ...plans },
      keyProvider,
    })
    for (const plan of strategies)
      await installation.tenancy.tenants.create({ slug: `on-${plan}`, name: plan, plan })
  })
  afterAll(() => installation.close())

  test('keeps its credentials under the key provider it was given', async () => {
    await installation.tenancy.tenant('one').query('select 1')
    expect(wrapped).toContain('outside')
  })

  test('serves all three strategies side by side, each where its plan says', async () => {
    for (const strategy of strategies) {
      const { tenancy } = installation
      await tenancy.tenant(`on-${strategy}`).query('insert into note (id, body) values (1, $1)', [strategy])
      expect((await tenancy.tenant(`on-${strategy}`).query('select body from note')).rows).toEqual([
        { body: strategy },
      ])
      expect(await tenancy.tenants.placement(`on-${strategy}`)).toMatchObject({ strategy, epoch: 1 })
    }
    expect((await installation.tenancy.tenants.placement('on-schema')).schemaName).toBe(
      `tenant_${(await installation.tenancy.tenants.get('on-schema')).id.replaceAll('-', '')}`,
    )
  })

  test('brings the objects inside every database to the newest version', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('on-database')
    // As a database looks that was made before the newest two files existed.
    const newest = 'select max(number) as newest from quickscale.version'
    const { rows: before } = await installation.inDatabase(databaseName, newest)
    await installation.inDatabase(
      databaseName,
      `delete from quickscale.version where number >= 11;
       drop domain quickscale.search_pattern cascade;
       drop function quickscale.hint_trigrams`,
    )
    await installation.tenancy.migrate()
    const { rows: hints } = await installation.inDatabase(
      databaseName,
      "select to_regprocedure('quickscale.bound_pattern(text)') is not null as found",
    )
    expect(hints).toEqual([{ found: true }])
    const { rows } = await installation.inDatabase(databaseName, newest)
    expect(rows).toEqual(before)
    expect(before[0]?.newest).toBeGreaterThan(2)
  })

  test('refuses to open a transaction where nothing could follow in it', async () => {
    const one = installation.tenancy.tenant('one')
    for (const text of ['begin', 'commit', 'rollback', 'savepoint a']) {
      await expect(one.query(text)).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
      await expect(one.pool.query(text)).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
    }
  })

  test('falls through to no other schema, public least of all', async () => {
    for (const strategy of strategies) {
      const tenant = installation.tenancy.tenant(`on-${strategy}`)
      const { rows } = await tenant.query(
        "select current_schemas(false)::text[] as path, to_regclass('pg_class') is not null as catalog",
      )
      const { schemaName } = await installation.tenancy.tenants.placement(`on-${strategy}`)
      // Only the administrator writes to `extensions`.
      expect(rows).toEqual([{ path: [schemaName, 'extensions'], catalog: true }])
      await expect(tenant.query('create table stray (a integer)')).rejects.toMatchObject({
        code: 'STATEMENT_REFUSED',
      })
    }
  })

  test('warns when the server would write tokens to its log', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('on-rls')
    await installation.inCatalog(`alter role ${databaseName} set log_parameter_max_length = -1`)
    await installation.inCatalog(`alter role ${databaseName} set log_min_duration_statement = 60000`)
    const other = await installation.another('rls', { keyProvider })
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    await other.tenant('on-rls').query('select 1')
    expect(warned.mock.calls.map((call) => call[1])).toEqual([
      expect.objectContaining({ code: 'QUICKSCALE_PARAMETERS_LOGGED' }),
    ])
    warned.mockRestore()
    await installation.inCatalog(`alter role ${databaseName} reset log_min_duration_statement`)
    await installation.inCatalog(`alter role ${databaseName} set log_parameter_max_length = 0`)
  })

  test('answers nobody after it was closed', async () => {
    const other = await installation.another('rls', { keyProvider })
    const tenant = other.tenant('one')
    await tenant.query('select 1')
    await other.close()
    await expect(tenant.query('select 1')).rejects.toMatchObject({ code: 'TENANCY_CLOSED' })
    await expect(other.tenant('two').query('select 1')).rejects.toMatchObject({ code: 'TENANCY_CLOSED' })
  })
})
