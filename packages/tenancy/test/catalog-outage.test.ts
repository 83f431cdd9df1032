// The catalog routes, the fence decides: an outage stops what is new, and what is old in a backup is refused.
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { strategies, TestInstallation } from './support/installation.ts'
import { outcomeOf } from './support/outcome.ts'

let installation: TestInstallation
afterEach(async () => {
  vi.useRealTimers()
  await installation.close()
})

describe.each(strategies)('under the %s strategy', (strategy: Strategy) => {
  test('known tenants work while the catalog is away; the rest fails by code, and works afterwards', async () => {
    installation = await TestInstallation.open(strategy)
    const { name } = installation
    const tenancy = await installation.another(strategy)
    const one = () =>
      outcomeOf(tenancy.tenant('one').query('insert into note (id) select count(*) + 1 from note'))
    const two = () => outcomeOf(tenancy.tenant('two').query('select 1'))
    const signUp = () => outcomeOf(tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only' }))
    expect(await one()).toBe('done')
    const { databaseName } = await tenancy.tenants.placement('one')
    const elsewhere = (text: string) => installation.inDatabase(databaseName, text)

    await elsewhere(`alter database ${name}_catalog allow_connections false`)
    await elsewhere(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${name}_catalog'`,
    )
    expect(await one()).toBe('done')
    expect(await two()).toBe('CATALOG_UNREACHABLE')
    expect(await signUp()).toBe('CATALOG_UNREACHABLE')
    expect(await outcomeOf(tenancy.servers.planRebalance())).toBe('CATALOG_UNREACHABLE')
    // The route is older than routes are believed.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + limits.routeLifetimeMs + 1_000 })
    expect(await one()).toBe('done')
    expect(await one()).toBe('done')
    vi.setSystemTime(Date.now() + limits.routeLifetimeMs)
    expect(await one()).toBe('done')
    vi.useRealTimers()

    await elsewhere(`alter database ${name}_catalog allow_connections true`)
    // What was done meanwhile has waited.
    await tenancy.servers.planRebalance()
    const activity = await installation.inCatalog('select work > 0 as counted from catalog.activity')
    expect(activity.rows).toEqual([{ counted: true }])
    expect(await two()).toBe('done')
    expect(await signUp()).toBe('done')
    expect(await one()).toBe('done')
    expect((await tenancy.tenant('one').query('select count(*)::integer as count from note')).rows).toEqual([
      { count: 6 },
    ])
  })

  test('during an outage the fence still refuses a tenant that is not active', async () => {
    installation = await TestInstallation.open(strategy)
    const { name } = installation
    const tenancy = await installation.another(strategy)
    const { databaseName, tenantId } = await tenancy.tenants.placement('one')
    await tenancy.tenant('one').query('select 1')
    const elsewhere = (text: string) => installation.inDatabase(databaseName, text)
    await elsewhere(`alter database ${name}_catalog allow_connections false`)
    await elsewhere(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${name}_catalog'`,
    )
    await elsewhere(
      `update quickscale.placement set state = 'moved', destination = 'away' where tenant_id = '${tenantId}'`,
    )
    expect(await outcomeOf(tenancy.tenant('one').query('select 1'))).toBe('CATALOG_UNREACHABLE')
    await elsewhere(`alter database ${name}_catalog allow_connections true`)
    expect(await outcomeOf(tenancy.tenant('one').query('select 1'))).toBe('TENANT_UNREACHABLE')
  })

  // Whoever lives at epoch 2 has been somewhere else in between: a backup of either side from before is not the truth.
  test.each(['server', 'catalog'])('a %s restored from an old backup is not entered', async (restored) => {
    installation = await TestInstallation.open(strategy)
    const { tenantId } = await installation.tenancy.tenants.placement('one')
    await installation.tenancy.tenant('one').query("insert into note (id, body) values (1, 'of today')")
    if (restored === 'server') {
      await installation.inCatalog('update catalog.placement set epoch = 2 where tenant_id = $1', [tenantId])
    } else {
      await installation.asOwner('one', 'update quickscale.placement set epoch = 2 where tenant_id = $1', [
        tenantId,
      ])
    }
    const tenancy = await installation.another(strategy)
    expect(await outcomeOf(tenancy.tenant('one').query('select * from note'))).toBe('TENANT_UNREACHABLE')
    const writing = tenancy.tenant('one').transaction((transaction) => transaction.query('delete from note'))
    expect(await outcomeOf(writing)).toBe('TENANT_UNREACHABLE')
    expect(await outcomeOf(tenancy.tenant('two').query('select 1'))).toBe('done')
  })
})
