// Faults that were seen in other pools; each let one tenant's work reach another's, or ended the process.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Strategy, Tenancy } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('a pooled connection under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let tenancy: Tenancy<NoteTables>

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    // One connection per database: whatever one unit of work leaves behind meets the next one.
    tenancy = await installation.another(strategy, {
      connections: { perDatabase: 1, perSilo: 1, waitMs: 2_000, statementTimeoutMs: 400 },
    })
  })
  afterAll(() => installation.close())
  beforeEach(async () => {
    for (const slug of ['one', 'two']) {
      await tenancy.tenant(slug).query('delete from note')
      await tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
    }
  })

  const idsOf = async (slug: string) =>
    (await tenancy.tenant(slug).query('select id from note order by id')).rows.map((row) => row.id)

  test('with a transaction left open is ended, and its writes are gone', async () => {
    const client = await tenancy.tenant('one').pool.connect()
    await client.query('begin')
    await client.query('insert into note (id) values (2)')
    client.release()
    await tenancy
      .tenant('two')
      .transaction((transaction) => transaction.query('insert into note (id) values (3)'))
    expect(await idsOf('one')).toEqual([1])
    expect(await idsOf('two')).toEqual([1, 3])
  })

  test('whose statement timed out inside a transaction hands nothing to the next tenant', async () => {
    const slow = tenancy.tenant('one').transaction(async (transaction) => {
      await transaction.query('insert into note (id) values (2)')
      await transaction.query('select pg_sleep(5)')
    })
    await expect(slow).rejects.toMatchObject({ code: '57014' })
    await tenancy
      .tenant('two')
      .transaction((transaction) => transaction.query('insert into note (id) values (3)'))
    expect(await idsOf('one')).toEqual([1])
    expect(await idsOf('two')).toEqual([1, 3])
  })

  test('answers an un-awaited query to nobody else', async () => {
    const client = await tenancy.tenant('one').pool.connect()
    const forgotten = client.query("select pg_sleep(0.2), 'of one' as secret")
    const outcome = forgotten.then(
      () => 'answered',
      () => 'refused',
    )
    client.release()
    const { rows } = await tenancy.tenant('two').query('select body from note')
    expect(rows).toEqual([{ body: 'two' }])
    expect(await outcome).toBe('refused')
  })

  test('refuses every use after its release', async () => {
    const client = await tenancy.tenant('one').pool.connect()
    await client.query('select 1')
    client.release()
    await expect(client.query('select 1')).rejects.toMatchObject({ code: 'CONNECTION_RELEASED' })
    expect(() => client.release()).toThrowError(expect.objectContaining({ code: 'CONNECTION_RELEASED' }))
    let escaped: { query(text: string): Promise<unknown> } | undefined
    await tenancy.tenant('one').transaction(async (transaction) => {
      escaped = transaction
    })
    await expect(escaped?.query('insert into note (id) values (9)')).rejects.toMatchObject({
      code: 'CONNECTION_RELEASED',
    })
    expect(await idsOf('one')).toEqual([1])
  })

  test('that the server ends, idle or busy, costs an error and not the process', async () => {
    const { databaseName } = await tenancy.tenants.placement('one')
    const endAll = () =>
      installation.inCatalog(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'quickscale'",
        [databaseName],
      )
    const endBusy = async () => {
      for (let ended = 0; ended === 0; await sleep(10)) {
        const { rows } = await installation.inCatalog(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and state = 'active' and query like '%pg_sleep(10)'",
          [databaseName],
        )
        ended = rows.length
      }
    }
    await tenancy.tenant('one').query('select 1')
    await endAll()
    await sleep(50)
    expect(await idsOf('one')).toEqual([1])
    const busy = tenancy.tenant('one').query('select pg_sleep(10)')
    const outcome = busy.then(
      () => 'answered',
      (error: { code?: string }) => error.code,
    )
    await endBusy()
    expect(await outcome).toBe('57P01')
    const client = await tenancy.tenant('one').pool.connect()
    await client.query('begin')
    await endAll()
    await sleep(50)
    await expect(client.query('select 1')).rejects.toThrow()
    client.release()
    expect(await idsOf('one')).toEqual([1])
  })

  test('asked for while another one is held fails with a code instead of waiting for ever', async () => {
    const nested = tenancy.tenant('one').transaction(async () => {
      await tenancy.tenant('one').query('select 1')
    })
    await expect(nested).rejects.toMatchObject({ code: 'CONNECTION_TIMEOUT', status: 503 })
    expect(await idsOf('one')).toEqual([1])
  })

  test('lets no write survive its ROLLBACK, not even one that nobody awaited', async () => {
    const failing = tenancy.tenant('one').transaction(async (transaction) => {
      transaction.query('insert into note (id) values (2)').catch(() => 'nobody listens')
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    const client = await tenancy.tenant('one').pool.connect()
    await Promise.all([
      client.query('begin'),
      client.query('insert into note (id) values (3)'),
      client.query('rollback'),
    ])
    client.release()
    expect(await idsOf('one')).toEqual([1])
  })

  test('never runs a statement of one tenant in the transaction of another', async () => {
    const work = Array.from({ length: 40 }, async (_, index) => {
      const slug = index % 2 === 0 ? 'one' : 'two'
      const outcome = await tenancy
        .tenant(slug)
        .transaction(async (transaction) => {
          const { rows } = await transaction.query('select body from note where id = 1')
          if (index % 5 === 0) throw new Error('on purpose')
          return rows[0]?.body
        })
        .catch((error: Error) => error.message)
      return outcome === 'on purpose' || outcome === slug || String(outcome).includes('CONNECTION_TIMEOUT')
    })
    expect(await Promise.all(work)).not.toContain(false)
  })

  test('keeps prepared statements apart and their number bounded', async () => {
    const one = tenancy.tenant('one')
    for (let index = 0; index < 520; index += 1) {
      await one.query({ name: `n${index}`, text: `select ${index} as value` })
    }
    expect((await one.query({ name: 'n0', text: 'select 0 as value' })).rows).toEqual([{ value: 0 }])
    await installation.asOwner(
      'one',
      'grant execute on function pg_catalog.pg_prepared_statement() to public',
    )
    const { rows } = await one.query('select count(*)::integer as count from pg_prepared_statements')
    expect(rows[0]?.count).toBeLessThanOrEqual(504)
  })
})

describe('a pooled connection that keeps what a tenant did to its session', () => {
  let installation: TestInstallation
  let tenancy: Tenancy<NoteTables>

  beforeAll(async () => {
    installation = await TestInstallation.open('rls')
    tenancy = await installation.another('rls', { connections: { perDatabase: 1 } })
    // As on a managed server, where these rights cannot be taken away.
    await installation.asOwner(
      'one',
      `grant execute on function pg_catalog.set_config(text, text, boolean), pg_catalog.pg_advisory_lock(bigint),
         pg_catalog.pg_advisory_unlock_all() to public`,
    )
  })
  afterAll(() => installation.close())

  const settings = "select current_setting('enable_seqscan') as value"
  const locks =
    "select count(*)::integer as count from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and mode = 'ExclusiveLock'"

  test('resets settings before the next tenant, after a statement and after a transaction', async () => {
    const change = "select set_config('enable_seqscan', 'off', false)"
    await tenancy.tenant('one').query(change)
    expect((await tenancy.tenant('two').query(settings)).rows).toEqual([{ value: 'on' }])
    await tenancy.tenant('one').transaction((transaction) => transaction.query(change))
    expect((await tenancy.tenant('two').query(settings)).rows).toEqual([{ value: 'on' }])
  })

  test('gives up session locks, also those of a statement that failed', async () => {
    await tenancy.tenant('one').query('select pg_advisory_lock(1)')
    expect((await tenancy.tenant('two').query(locks)).rows).toEqual([{ count: 0 }])
    await tenancy.tenant('one').transaction((transaction) => transaction.query('select pg_advisory_lock(2)'))
    expect((await tenancy.tenant('two').query(locks)).rows).toEqual([{ count: 0 }])
    await expect(tenancy.tenant('one').query('select pg_advisory_lock(3), 1 / 0')).rejects.toMatchObject({
      code: '22012',
    })
    expect((await tenancy.tenant('two').query(locks)).rows).toEqual([{ count: 0 }])
    const failing = tenancy.tenant('one').transaction(async (transaction) => {
      await transaction.query('select pg_advisory_lock(4)')
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect((await tenancy.tenant('two').query(locks)).rows).toEqual([{ count: 0 }])
  })
})
