// COPY (query) TO STDOUT in a tenant's context: whose rows, which texts, and what becomes of the connection.
import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy, Tenancy, TenantHandle } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

const rowCount = 5_000
const wide = "select id, repeat('x', 2000) as body from note order by id"

describe.each(strategies)('COPY TO under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let tenancy: Tenancy<NoteTables>
  let one: TenantHandle<NoteTables>
  let two: TenantHandle<NoteTables>

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    tenancy = await installation.another(strategy, {
      connections: { perDatabase: 1, perSilo: 1, waitMs: 2_000 },
    })
    one = tenancy.tenant('one')
    two = tenancy.tenant('two')
    const rows = Array.from({ length: rowCount }, (_, index) => [index + 1, `of one, "${index + 1}"`])
    await one.bulkInsert('note', ['id', 'body'], rows)
    await two.query("insert into note (id, body) values (1, 'of two')")
  })
  afterAll(() => installation.close())

  const backend = async () => (await one.query('select pg_backend_pid() as pid')).rows[0]?.pid

  /** Whether some connection to the tenant's database still runs a COPY or sits in a transaction. */
  const unfinished = async () => {
    const { databaseName } = await tenancy.tenants.placement('one')
    const { rows } = await installation.inCatalog(
      "select count(*)::integer as count from pg_stat_activity where datname = $1 and application_name = 'quickscale' and state <> 'idle'",
      [databaseName],
    )
    return rows[0].count
  }
  const settled = async () => {
    for (let attempt = 0; attempt < 100 && (await unfinished()) > 0; attempt += 1) await sleep(50)
    return await unfinished()
  }

  test('writes the rows of this tenant only, in each format', async () => {
    const few = 'select id, body from note where id <= 2 order by id -- the first ones'
    expect(await text(one.copyTo(few))).toBe('1\tof one, "1"\n2\tof one, "2"\n')
    expect(await text(one.copyTo(few, { format: 'csv', header: true }))).toBe(
      'id,body\n1,"of one, ""1"""\n2,"of one, ""2"""\n',
    )
    const binary = await buffer(one.copyTo(few, { format: 'binary' }))
    expect(binary.subarray(0, 6).toString('latin1')).toBe('PGCOPY')
    expect(await text(two.copyTo('select id, body from note'))).toBe('1\tof two\n')
    expect(await text(one.copyTo('select 1 where false'))).toBe('')
  })

  test('writes all of it and gives the connection back, ready for others', async () => {
    const pid = await backend()
    const lines = (await text(one.copyTo(wide))).split('\n')
    expect(lines.length - 1).toBe(rowCount)
    expect(lines.every((line) => line === '' || line.endsWith('xxx'))).toBe(true)
    expect(await backend()).toBe(pid)
    expect((await two.query('show statement_timeout')).rows).not.toEqual([{ statement_timeout: '1h' }])
  })

  test.each([
    'select 1); select (2',
    "select 1) to program 'touch x' -- ",
    "select 1) to '/tmp/x' -- ",
    'select 1; delete from note',
    'delete from note returning id',
    'insert into note (id) values (9000) returning id',
    'with gone as (delete from note returning id) select * from gone',
    'note',
    'table note) from stdin --',
    'select 1 into temp x',
    '',
    ')',
  ])('refuses %j', async (query) => {
    await expect(text(one.copyTo(query))).rejects.toThrow()
    expect((await one.query('select count(*)::integer as count from note')).rows).toEqual([
      { count: rowCount },
    ])
  })

  test.each([
    "copy note to program 'cat'",
    "copy note to '/tmp/notes'",
    'copy note to stdout',
    'copy note from stdin',
    'copy (select 1) to stdout',
    "copy (select 1) to program 'cat'",
  ])('is no way around the list for a plain statement: %s', async (statement) => {
    await expect(one.query(statement)).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
    await expect(one.transaction((transaction) => transaction.query(statement))).rejects.toMatchObject({
      code: 'STATEMENT_REFUSED',
    })
  })

  test('waits for its reader instead of filling the memory', async () => {
    const reading = one.copyTo(wide)
    const chunks = reading[Symbol.asyncIterator]()
    let read = ((await chunks.next()).value as Buffer).length
    await sleep(500)
    // Ten megabytes are waiting, in the network and in the server.
    expect(reading.readableLength).toBeLessThan(1_000_000)
    for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) read += chunk.length
    expect(read).toBeGreaterThan(rowCount * 2_000)
  })

  test('that fails half way is an error, and leaves the connection usable', async () => {
    const pid = await backend()
    await expect(text(one.copyTo('select 1 / (id - 4000) from note order by id'))).rejects.toMatchObject({
      code: '22012',
    })
    expect(await backend()).toBe(pid)
    await expect(text(one.copyTo('select pg_sleep(20)', { timeoutMs: 100 }))).rejects.toMatchObject({
      code: '57014',
    })
    expect(await backend()).toBe(pid)
  })

  test('that is called off, destroyed or forgotten ends its connection and nothing else', async () => {
    const controller = new AbortController()
    const reading = one.copyTo(wide, { signal: controller.signal })
    reading.once('data', () => controller.abort(new Error('called off')))
    await expect(text(reading)).rejects.toThrow('called off')
    expect((await two.query('select body from note')).rows).toEqual([{ body: 'of two' }])

    const destroyed = one.copyTo(wide)
    await destroyed[Symbol.asyncIterator]().next()
    destroyed.destroy()
    expect((await two.query('select body from note')).rows).toEqual([{ body: 'of two' }])

    const forgotten = one.copyTo(wide, { idleMs: 50 })
    const failure = once(forgotten, 'error')
    forgotten.read()
    expect(await failure).toMatchObject([{ code: 'READER_IDLE' }])
    expect((await two.query('select body from note')).rows).toEqual([{ body: 'of two' }])
    expect(await settled()).toBe(0)
  })

  test('whose connection is lost half way is an error', async () => {
    const pid = await backend()
    const reading = one.copyTo('select id, pg_sleep(0.001) from note')
    reading.once('data', () => void installation.inCatalog('select pg_terminate_backend($1)', [pid]))
    await expect(text(reading)).rejects.toThrow()
    expect((await two.query('select body from note')).rows).toEqual([{ body: 'of two' }])
  })

  test('lets nobody in without a tenant', async () => {
    await expect(text(tenancy.tenant('nobody').copyTo('select 1'))).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    })
    const login = await installation.loginTo('one')
    await expect(login.query('copy (select * from note) to stdout')).rejects.toThrow()
    await login.end()
  })
})
