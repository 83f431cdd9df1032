// What a careless or hostile application does to a connection that others will use after it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Strategy, Tenancy } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('a connection used carelessly under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let tenancy: Tenancy<NoteTables>

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    tenancy = await installation.another(strategy, { connections: { perDatabase: 1, perSilo: 1 } })
  })
  afterAll(() => installation.close())
  beforeEach(async () => {
    for (const slug of ['one', 'two']) {
      await tenancy.tenant(slug).query('delete from note')
      await tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
    }
  })

  test('serves on after a parameter that could not be written', async () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const throwing = (thrown: unknown) => ({
      toPostgres: () => {
        throw thrown
      },
    })
    const read = (slug: string, value: unknown) =>
      tenancy.tenant(slug).query({ name: 'n', text: 'select body from note where id = $1', values: [value] })
    for (const value of [circular, throwing(new Error('no')), throwing('a string'), throwing(null)]) {
      await expect(read('one', value)).rejects.toBeDefined()
      for (const slug of ['one', 'two']) expect((await read(slug, 1)).rows).toEqual([{ body: slug }])
    }
  })

  test('serves on after a value parser that throws, or is none', async () => {
    const types = {
      getTypeParser: () => () => {
        throw new Error('unreadable')
      },
    }
    await expect(tenancy.tenant('one').query({ text: 'select body from note', types })).rejects.toThrow(
      'unreadable',
    )
    await expect(
      tenancy.tenant('one').query({ text: 'select body from note', types: {} as never }),
    ).rejects.toThrow()
    expect((await tenancy.tenant('two').query('select body from note')).rows).toEqual([{ body: 'two' }])
  })

  test('labels the rows of a named FETCH by its own cursor', async () => {
    const fetch = (slug: string, query: string) =>
      tenancy.tenant(slug).transaction(async (transaction) => {
        await transaction.query(`declare c cursor for ${query}`)
        return (await transaction.query({ name: 'f', text: 'fetch all from c' })).rows
      })
    expect(await fetch('one', 'select id from note')).toEqual([{ id: 1 }])
    expect(await fetch('two', 'select body, id from note')).toEqual([{ body: 'two', id: 1 }])
    expect(await fetch('one', 'select id from note')).toEqual([{ id: 1 }])
  })

  test('prepares a text that keeps coming on its own where that is wanted, unless it names a time', async () => {
    const one = tenancy.tenant('one', { prepare: true })
    const privilege = 'execute on function pg_catalog.pg_prepared_statement()'
    await installation.asOwner('one', `grant ${privilege} to public`)
    const count = 'select count(*)::integer as count from pg_prepared_statements where statement = $1'
    const isPrepared = async (text: string) => (await one.query(count, [text])).rows[0]?.count === 1
    const repeated = 'select body from note where body = $1'
    for (let round = 0; round < 3; round += 1) await tenancy.tenant('one').query(repeated, ['one'])
    expect(await isPrepared(repeated)).toBe(false)
    await one.query(repeated, ['one'])
    expect(await isPrepared(repeated)).toBe(false)
    await one.query(repeated, ['one'])
    expect(await isPrepared(repeated)).toBe(true)
    expect((await one.query(repeated, ['two'])).rows).toEqual([])
    expect((await tenancy.tenant('two', { prepare: true }).query(repeated, ['two'])).rows).toEqual([
      { body: 'two' },
    ])
    const inTransaction = 'select id from note where body = $1'
    const timed = "select 'now'::timestamptz::text as at"
    const times = new Set<unknown>()
    for (let round = 0; round < 3; round += 1) {
      await one.transaction(({ query }) => query(inTransaction, ['one']))
      times.add((await one.query(timed)).rows[0]?.at)
    }
    expect([await isPrepared(inTransaction), await isPrepared(timed), times.size]).toEqual([false, false, 3])
    await installation.asOwner('one', `revoke ${privilege} from public`)
  })

  test('repeats a text that keeps coming when its table has changed', async () => {
    const { schemaName } = await tenancy.tenants.placement('one')
    const columns = async () => {
      const { rows } = await tenancy.tenant('one', { prepare: true }).query('select * from note order by id')
      return Object.keys(rows[0] ?? {}).length
    }
    const before = [await columns(), await columns(), await columns()]
    await installation.asOwner('one', `alter table ${schemaName}.note add column extra text`)
    const after = [await columns(), await columns()]
    await installation.asOwner('one', `alter table ${schemaName}.note drop column extra`)
    expect(after).toEqual(before.slice(1).map((count) => count + 1))
  })

  test('parses anew what could not be parsed under a time limit of its own', async () => {
    const { schemaName, databaseName } = await tenancy.tenants.placement('one')
    const read = { name: 'r', text: 'select body from note where id = $1 for share', values: [1] }
    const owner = await installation.connectTo(databaseName)
    await owner.query(`begin; lock table ${schemaName}.note`)
    const limited = tenancy.tenant('one', { statementTimeoutMs: 200 })
    await expect(limited.query(read)).rejects.toMatchObject({ code: '57014' })
    await owner.query('rollback')
    await owner.end()
    for (const slug of ['one', 'two']) {
      expect((await tenancy.tenant(slug).query(read)).rows).toEqual([{ body: slug }])
    }
  })

  test('prepares anew what fails because the type of its parameter was another one', async () => {
    const { schemaName } = await tenancy.tenants.placement('one')
    const change = (change: string) => installation.asOwner('one', `alter table ${schemaName}.note ${change}`)
    await change('add column n integer')
    const find = (n: number) =>
      tenancy.tenant('one').query({ name: 'f', text: 'select id from note where n = $1', values: [n] })
    await find(1)
    await change('alter column n type bigint')
    await expect(find(3_000_000_000)).rejects.toMatchObject({ code: '22003' })
    expect((await find(3_000_000_000)).rows).toEqual([])
    await change('drop column n')
  })

  test('repeats a transaction whose prepared statement met changed tables', async () => {
    const { schemaName } = await tenancy.tenants.placement('one')
    const read = () =>
      tenancy.tenant('one').transaction(async (transaction) => {
        const { rows } = await transaction.query({ name: 's', text: 'select * from note' })
        return Object.keys(rows[0] ?? {}).length
      })
    const columns = await read()
    await installation.asOwner('one', `alter table ${schemaName}.note add column extra text`)
    expect(await read()).toBe(columns + 1)
    await installation.asOwner('one', `alter table ${schemaName}.note drop column extra`)
  })

  test('reads no text otherwise than it was classified', async () => {
    for (const text of ["set local client_encoding to 'SJIS'", "set local names 'SJIS'"]) {
      await expect(
        tenancy.tenant('one').transaction((transaction) => transaction.query(text)),
      ).rejects.toMatchObject({
        code: 'STATEMENT_REFUSED',
      })
    }
    await installation.asOwner(
      'one',
      'grant execute on function pg_catalog.set_config(text, text, boolean) to public',
    )
    const fresh = await installation.another(strategy)
    const switched = fresh.tenant('one').transaction(async (transaction) => {
      await transaction.query("select set_config('client_encoding', 'SJIS', true)")
      await transaction.query('select 1')
    })
    await expect(switched).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
    expect((await fresh.tenant('one').query('select body from note')).rows).toEqual([{ body: 'one' }])
    await installation.asOwner(
      'one',
      'revoke execute on function pg_catalog.set_config(text, text, boolean) from public',
    )
  })

  test('works for the actor that was checked, whatever becomes of the object', async () => {
    const actor = { id: 'u1', role: 'member' }
    const one = tenancy.tenant('one', { actor })
    actor.role = 'member|admin|'
    const { rows } = await one.query('select quickscale.actor_role() as role, quickscale.actor_id() as id')
    expect(rows).toEqual([{ role: 'member', id: 'u1' }])
  })

  test('is not used by a client that was released while it waited', async () => {
    const holder = await tenancy.tenant('one').pool.connect()
    await holder.query('begin')
    const client = await tenancy.tenant('one').pool.connect()
    const begun = client.query('begin').then(
      () => 'begun',
      (error: { code: string }) => error.code,
    )
    await new Promise((resolve) => setTimeout(resolve, 20))
    client.release()
    await holder.query('commit')
    holder.release()
    expect(await begun).toBe('CONNECTION_RELEASED')
    expect((await tenancy.tenant('two').query('select body from note')).rows).toEqual([{ body: 'two' }])
  })

  test('takes a transaction function that is not asynchronous', async () => {
    const synchronous = (() => 7) as unknown as () => Promise<number>
    expect(await tenancy.tenant('one').transaction(synchronous)).toBe(7)
    const throwing = () => {
      throw new Error('at once')
    }
    await expect(tenancy.tenant('one').transaction(throwing)).rejects.toThrow('at once')
    expect((await tenancy.tenant('two').query('select body from note')).rows).toEqual([{ body: 'two' }])
  })
})
