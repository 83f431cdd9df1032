import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { resettingState } from '../../../test/support/reset-state.ts'
import type { Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { strategies, TestInstallation } from './support/installation.ts'

/** What measures how long it has waited sees `ms` go by every few milliseconds: a place may be about to open. */
function timePasses(ms: number): { stop(): void } {
  vi.useFakeTimers({ toFake: ['performance'] })
  const clock = setInterval(() => vi.advanceTimersByTime(ms), 20)
  return {
    stop: () => {
      clearInterval(clock)
      vi.useRealTimers()
    },
  }
}

describe.each(strategies)('the fence under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let id: string

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    id = (await installation.tenancy.tenants.get('one')).id
  })
  afterAll(() => installation.close())
  afterEach(async () => {
    await installation.asOwner(
      'one',
      resettingState(
        'quickscale.placement',
        `update quickscale.placement set state = 'active', destination = null, epoch = 1 where tenant_id = '${id}'`,
      ),
    )
    await installation.inCatalog('update catalog.placement set epoch = 1 where tenant_id = $1', [id])
  })

  const setFence = (assignment: string) =>
    installation.asOwner('one', `update quickscale.placement set ${assignment} where tenant_id = $1`, [id])

  test.each([
    ['pending', 'TENANT_PROVISIONING'],
    ['suspended', 'TENANT_SUSPENDED'],
    ['archived', 'TENANT_ARCHIVED'],
    ['deleting', 'TENANT_DELETED'],
  ])('lets nobody into a tenant that is %s', async (state, code) => {
    const one = installation.tenancy.tenant('one')
    await one.query('select 1')
    const setting = `update quickscale.placement set state = '${state}' where tenant_id = '${id}'`
    await installation.asOwner('one', resettingState('quickscale.placement', setting))
    const passing = timePasses(limits.arrivalWaitMs)
    try {
      await expect(one.query('select 1')).rejects.toMatchObject({ code })
      await expect(one.transaction((transaction) => transaction.query('select 1'))).rejects.toMatchObject({
        code,
      })
      await expect(
        one.transaction((transaction) => transaction.query('select 1'), { isolation: 'serializable' }),
      ).rejects.toMatchObject({ code })
    } finally {
      passing.stop()
    }
  })

  test('sends a statement on where the tenant has a new epoch, without the caller noticing', async () => {
    const one = installation.tenancy.tenant('one')
    const read = () => one.query({ name: 'n', text: 'select count(*)::integer as count from note' })
    expect((await read()).rows).toEqual([{ count: 0 }])
    await setFence('epoch = 2')
    await installation.inCatalog('update catalog.placement set epoch = 2 where tenant_id = $1', [id])
    expect((await read()).rows).toEqual([{ count: 0 }])
    expect(
      await one.transaction(async (transaction) => (await transaction.query('select 1 as one')).rows),
    ).toEqual([{ one: 1 }])
  })

  test('lets the first named statement on a fresh connection succeed after a move', async () => {
    const tenancy = await installation.another(strategy)
    const one = tenancy.tenant('one')
    await setFence('epoch = 2')
    // The route is read while the catalog still says 1, so that the very first enter is refused.
    const first = one.query({ name: 'first', text: 'select 1 as one' })
    await sleep(20)
    await installation.inCatalog('update catalog.placement set epoch = 2 where tenant_id = $1', [id])
    expect((await first).rows).toEqual([{ one: 1 }])
    expect((await one.query({ name: 'first', text: 'select 1 as one' })).rows).toEqual([{ one: 1 }])
  })

  test('gives up with a code when catalog and database do not come to agree', async () => {
    await setFence("state = 'moved', destination = 'elsewhere'")
    await expect(installation.tenancy.tenant('one').query('select 1')).rejects.toMatchObject({
      code: 'TENANT_UNREACHABLE',
      status: 503,
    })
  })

  test('does not let a transaction in that waited while the tenant was closed', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('one')
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${databaseName}`
    const mover = new pg.Client({ connectionString: url.href })
    await mover.connect()
    try {
      for (const isolation of ['read committed', 'repeatable read', 'serializable'] as const) {
        await mover.query('begin')
        await mover.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [id])
        const write = installation.tenancy
          .tenant('one')
          .transaction((transaction) => transaction.query('insert into note (id) values (1)'), { isolation })
          .then(
            () => 'written',
            (error: { code: string }) => error.code,
          )
        await sleep(100)
        await mover.query("update quickscale.placement set state = 'suspended' where tenant_id = $1", [id])
        await mover.query('commit')
        expect(await write, isolation).toBe('TENANT_SUSPENDED')
        await mover.query("update quickscale.placement set state = 'active' where tenant_id = $1", [id])
      }
      expect((await installation.tenancy.tenant('one').query('select id from note')).rowCount).toBe(0)
    } finally {
      await mover.end()
    }
  })

  test('keeps a mover waiting while a transaction of the tenant is open, but not for a read only snapshot', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('one')
    const locksHeld = async () => {
      const { rows } = await installation.inCatalog(
        `select count(*)::integer as count from pg_locks join pg_database on pg_database.oid = pg_locks.database
          where locktype = 'advisory' and mode = 'ShareLock' and datname = $1
            and (classid::bigint << 32 | objid::bigint) = hashtextextended($2, 0)`,
        [databaseName, id],
      )
      return rows[0].count
    }
    const during = async (options: {
      isolation: 'read committed' | 'repeatable read' | 'serializable'
      readOnly: boolean
    }) => await installation.tenancy.tenant('one').transaction(locksHeld, options)
    expect(await locksHeld()).toBe(0)
    expect(await during({ isolation: 'read committed', readOnly: false })).toBe(1)
    expect(await during({ isolation: 'serializable', readOnly: false })).toBe(1)
    expect(await during({ isolation: 'repeatable read', readOnly: true })).toBe(0)
  })
})
