// Many rows in and out of one tenant: what arrives, what is kept after a failure, what becomes of the connection.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Strategy, Tenancy, TenantHandle } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('many rows under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  /** One connection per database, so that every unit of work meets what the one before has left. */
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
  })
  afterAll(() => installation.close())
  beforeEach(async () => {
    for (const tenant of [one, two]) {
      await tenant.query('delete from note')
      await tenant.query('delete from author')
      await tenant.query('insert into note (id, body) values (1, $1)', [`of ${tenant.key}`])
    }
  })

  const countOf = async (tenant: TenantHandle<NoteTables>) =>
    (await tenant.query('select count(*)::integer as count from note')).rows[0]?.count
  const backend = async () => (await one.query('select pg_backend_pid() as pid')).rows[0]?.pid

  const numbered = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => [from + index, `note ${from + index}`])

  async function* slowly(rows: Iterable<readonly unknown[]>, failAt = Number.POSITIVE_INFINITY) {
    let given = 0
    for (const row of rows) {
      await Promise.resolve()
      if (given === failAt) throw new Error('the source dried up')
      given += 1
      yield row
    }
  }

  test('are inserted whole, in batches, for this tenant only', async () => {
    const progress: number[] = []
    const { rows } = await one.bulkInsert('note', ['id', 'body'], numbered(2, 2_500), {
      onProgress: (at) => progress.push(at.rows),
    })
    expect(rows).toBe(2_499)
    expect(progress).toEqual([1_000, 2_000, 2_499])
    expect(await countOf(one)).toBe(2_500)
    expect(await countOf(two)).toBe(1)
    const { rows: found } = await one.query('select body from note where id in (2, 2500) order by id')
    expect(found).toEqual([{ body: 'note 2' }, { body: 'note 2500' }])
  })

  test('come from an async iterator too, and every type arrives as in a single statement', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z')
    const rows = [
      [2, "it's \\ a ☕", '12345678901234567890.123456789', at],
      [3, '', 'NaN', at],
      [4, 'x', null, '2026-01-02 03:04:05+00'],
    ]
    const columns = ['id', 'body', 'amount', 'created_at']
    await one.bulkInsert('note', columns, slowly(rows))
    const bulk = await one.query('select id, body, amount, created_at from note where id > 1 order by id')
    expect(bulk.rows).toEqual([
      { id: 2, body: "it's \\ a ☕", amount: '12345678901234567890.123456789', created_at: at },
      { id: 3, body: '', amount: 'NaN', created_at: at },
      { id: 4, body: 'x', amount: null, created_at: new Date('2026-01-02T03:04:05Z') },
    ])
  })

  test('are kept all or not at all, and the error says which of them were refused', async () => {
    const wrong = [...numbered(2, 1_500), [2, 'a second one'], ...numbered(1_501, 1_600)]
    const failing = one.bulkInsert('note', ['id', 'body'], wrong)
    await expect(failing).rejects.toMatchObject({
      code: 'BULK_INSERT_FAILED',
      details: { table: 'note', first: 1_000, last: 1_599 },
      cause: { code: '23505' },
    })
    expect(await countOf(one)).toBe(1)
    const ragged = one.bulkInsert('note', ['id', 'body'], [...numbered(2, 1_200), [7]])
    await expect(ragged).rejects.toMatchObject({ code: 'BULK_ROW_INVALID', details: { index: 1_199 } })
    const dry = one.bulkInsert('note', ['id', 'body'], slowly(numbered(2, 3_000), 2_000))
    await expect(dry).rejects.toThrow('the source dried up')
    expect(await countOf(one)).toBe(1)
  })

  test('may leave out what is there already', async () => {
    const options = { skipConflicts: true, batchRows: 2 }
    expect(await one.bulkInsert('note', ['id', 'body'], numbered(1, 5), options)).toEqual({ rows: 4 })
    expect((await one.query('select body from note where id = 1')).rows).toEqual([{ body: 'of one' }])
  })

  test('cannot be written for another tenant, nor through a name that is more than one', async () => {
    const { id } = await tenancy.tenants.get('two')
    await expect(one.bulkInsert('note', ['id', 'tenant_id'], [[9, id]])).rejects.toMatchObject({
      code: 'BULK_INSERT_FAILED',
    })
    for (const table of ['note (id) values (9) --', 'quickscale.placement', 'pg_catalog.pg_class']) {
      await expect(one.bulkInsert(table, ['id'], [[9]])).rejects.toMatchObject({ cause: { code: '42P01' } })
    }
    await expect(one.bulkInsert('note', ['id) values (9) --'], [[9]])).rejects.toMatchObject({
      cause: { code: '42703' },
    })
    await expect(one.bulkInsert('note', [], [])).rejects.toMatchObject({ code: 'BULK_ROW_INVALID' })
    await expect(one.bulkInsert('', ['id'], [[9]])).rejects.toMatchObject({ code: 'IDENTIFIER_INVALID' })
    await expect(tenancy.tenant('nobody').bulkInsert('note', ['id'], [[1]])).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    })
    expect(await countOf(two)).toBe(1)
  })

  test('stop coming in when they are called off, and nothing of them stays', async () => {
    const controller = new AbortController()
    const endless = async function* () {
      for (let id = 2; ; id += 1) yield [id, 'x']
    }
    const inserting = one.bulkInsert('note', ['id', 'body'], endless(), {
      signal: controller.signal,
      onProgress: ({ rows }) => rows >= 2_000 && controller.abort(new Error('called off')),
    })
    await expect(inserting).rejects.toThrow('called off')
    expect(await countOf(one)).toBe(1)
    const never = one.bulkInsert('note', ['id'], [[2]], { signal: AbortSignal.abort(new Error('too late')) })
    await expect(never).rejects.toThrow('too late')
    const stuck = new AbortController()
    const waiting = one.transaction((transaction) => transaction.query('select pg_sleep(20)'), {
      signal: stuck.signal,
    })
    setTimeout(() => stuck.abort(new Error('waited long enough')), 100)
    await expect(waiting).rejects.toThrow('waited long enough')
    expect(await countOf(two)).toBe(1)
  })

  test('stream out in batches, each row once, and leave the connection to others', async () => {
    await one.bulkInsert('note', ['id', 'body'], numbered(2, 1_050))
    const pid = await backend()
    for (const batchSize of [100, 1_050, 7, 5_000]) {
      const seen: number[] = []
      for await (const row of one.stream('select id from note where id > $1 order by id', [0], {
        batchSize,
      })) {
        seen.push(row.id)
      }
      expect(seen).toEqual(numbered(1, 1_050).map(([id]) => id))
    }
    const rows: unknown[] = []
    for await (const row of two.stream({ text: 'select id, body from note', rowMode: 'array' }))
      rows.push(row)
    expect(rows).toEqual([[1, 'of two']])
    expect(await backend()).toBe(pid)
  })

  test('stream as of one moment, and change nothing', async () => {
    await one.bulkInsert('note', ['id', 'body'], numbered(2, 50))
    const other = installation.tenancy.tenant('one')
    let seen = 0
    for await (const _row of one.stream('select id from note', [], { batchSize: 10 })) {
      if (seen === 0) await other.query('delete from note')
      seen += 1
    }
    expect(seen).toBe(50)
    for (const text of [
      'with gone as (delete from note returning id) select * from gone',
      'insert into note (id) values (7) returning id',
      'select id from note; delete from note',
      'select id from note for update',
      'select id into temp x from note',
    ]) {
      await expect(one.stream(text).next(), text).rejects.toThrow()
    }
    expect(await countOf(two)).toBe(1)
  })

  test('that are not read to their end leave the connection idle and usable', async () => {
    await one.bulkInsert('note', ['id', 'body'], numbered(2, 300))
    const pid = await backend()
    for await (const row of one.stream('select id from note', [], { batchSize: 10 })) {
      if (row.id > 5) break
    }
    await expect(async () => {
      for await (const _row of one.stream('select id from note', [], { batchSize: 10 }))
        throw new Error('enough')
    }).rejects.toThrow('enough')
    await expect(async () => {
      for await (const _row of one.stream('select 1 / (id - 200) from note order by id', [], {
        batchSize: 10,
      }));
    }).rejects.toMatchObject({ code: '22012' })
    expect(await backend()).toBe(pid)
    expect(
      (await two.query("select count(*)::integer as count from pg_cursors where name <> ''")).rows,
    ).toEqual([{ count: 0 }])
    const unread = one.stream('select id from note')
    await unread.return()
    expect(await countOf(two)).toBe(1)
  })

  test('that nobody reads on give their connection back, and those that are called off too', async () => {
    await one.bulkInsert('note', ['id', 'body'], numbered(2, 300))
    const forgotten = one.stream('select id from note', [], { batchSize: 10, idleMs: 50 })
    await forgotten.next()
    await sleep(100)
    expect(await countOf(two)).toBe(1)
    await expect(async () => {
      for await (const _row of forgotten);
    }).rejects.toMatchObject({ code: 'READER_IDLE' })
    const controller = new AbortController()
    const slow = one.stream('select id, pg_sleep(0.2) from note', [], { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('called off')), 100)
    await expect(slow.next()).rejects.toThrow('called off')
    expect(await countOf(two)).toBe(1)
  })

  test('whose connection is lost half way are an error, and the process goes on', async () => {
    await one.bulkInsert('note', ['id', 'body'], numbered(2, 300))
    const pid = await backend()
    const streaming = one.stream('select id from note', [], { batchSize: 10 })
    await streaming.next()
    await installation.inCatalog('select pg_terminate_backend($1)', [pid])
    await expect(async () => {
      for await (const _row of streaming);
    }).rejects.toThrow()
    const killing = one.bulkInsert('note', ['id', 'body'], numbered(301, 5_000), {
      onProgress: ({ rows }) => {
        if (rows === 1_000) throw new Error('the reader of the progress failed')
      },
    })
    await expect(killing).rejects.toThrow('the reader of the progress failed')
    expect(await countOf(one)).toBe(300)
    expect(await countOf(two)).toBe(1)
  })
})
