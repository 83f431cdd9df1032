import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('a tenant under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
  })
  afterAll(() => installation.close())
  beforeEach(async () => {
    for (const slug of ['one', 'two']) {
      const tenant = installation.tenancy.tenant(slug)
      await tenant.query('delete from note')
      await tenant.query('insert into note (id, body) values ($1, $2)', [1, `of ${slug}`])
    }
  })

  test('sees its own row and not the one with the same id of another tenant', async () => {
    const { rows } = await installation.tenancy.tenant('one').query('select id, body from note')
    expect(rows).toEqual([{ id: 1, body: 'of one' }])
  })

  test('changes and deletes nothing but its own rows', async () => {
    const one = installation.tenancy.tenant('one')
    expect((await one.query("update note set body = 'changed'")).rowCount).toBe(1)
    expect((await one.query('delete from note')).rowCount).toBe(1)
    const { rows } = await installation.tenancy.tenant('two').query('select body from note')
    expect(rows).toEqual([{ body: 'of two' }])
  })

  test('cannot write a row for another tenant, nor hand one over', async () => {
    const { id } = await installation.tenancy.tenants.get('two')
    const one = installation.tenancy.tenant('one')
    await expect(one.query('insert into note (id, tenant_id) values (7, $1)', [id])).rejects.toThrow(
      /row-level security|check constraint/,
    )
    await expect(one.query('update note set tenant_id = $1', [id])).rejects.toThrow(
      /row-level security|check constraint/,
    )
  })

  test('answers prepared statements for the tenant that asks, on a shared connection', async () => {
    for (const slug of ['one', 'two', 'one', 'two']) {
      const { rows } = await installation.tenancy
        .tenant(slug)
        .query({ name: 'bodies', text: 'select body from note where id = $1', values: [1] })
      expect(rows).toEqual([{ body: `of ${slug}` }])
    }
  })

  test('with a statement timeout of its own ends what takes longer, in its own transactions only', async () => {
    const hurried = installation.tenancy.tenant('one', { statementTimeoutMs: 50 })
    const shown = 'show statement_timeout'
    const timeouts = async (work: { query(text: string): Promise<{ rows: object[] }> }) =>
      (await work.query(shown)).rows
    await expect(hurried.query('select pg_sleep(60)')).rejects.toMatchObject({ code: '57014' })
    await expect(hurried.transaction(({ query }) => query('select pg_sleep(60)'))).rejects.toMatchObject({
      code: '57014',
    })
    expect(await hurried.transaction(timeouts)).toEqual([{ statement_timeout: '50ms' }])
    expect(await timeouts(hurried)).toEqual([{ statement_timeout: '50ms' }])
    expect(await timeouts(installation.tenancy.tenant('one'))).toEqual([{ statement_timeout: '30s' }])
    expect(await timeouts(installation.tenancy.tenant('two'))).toEqual([{ statement_timeout: '30s' }])
    const patient = installation.tenancy.tenant('one', { statementTimeoutMs: 3_600_000 })
    expect(await timeouts(patient)).toEqual([{ statement_timeout: '30s' }])
    for (const statementTimeoutMs of [0, -1, 1.5, Number.NaN, 3_600_001]) {
      expect(() => installation.tenancy.tenant('one', { statementTimeoutMs })).toThrow('statementTimeoutMs')
    }
  })

  test('takes array rows and custom types as pg does', async () => {
    const result = await installation.tenancy
      .tenant('one')
      .query({ text: 'select id, body from note', rowMode: 'array' })
    expect(result.rows).toEqual([[1, 'of one']])
    expect(result.fields.map((field) => field.name)).toEqual(['id', 'body'])
    expect(result.command).toBe('SELECT')
  })

  test('commits a transaction whose function returns', async () => {
    const one = installation.tenancy.tenant('one')
    const count = await one.transaction(async (transaction) => {
      await transaction.query('insert into note (id) values (2)')
      await transaction.kysely.insertInto('note').values({ id: 3, body: 'typed' }).execute()
      return (await transaction.query('select count(*)::integer as count from note')).rows[0]?.count
    })
    expect(count).toBe(3)
    expect((await one.query('select id from note order by id')).rows).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ])
  })

  test('rolls back a transaction whose function throws', async () => {
    const one = installation.tenancy.tenant('one')
    const failing = one.transaction(async (transaction) => {
      await transaction.query('insert into note (id) values (2)')
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect((await one.query('select id from note')).rowCount).toBe(1)
  })

  test('reports a transaction that COMMIT rolled back because a failed statement was caught', async () => {
    const failing = installation.tenancy.tenant('one').transaction(async (transaction) => {
      await transaction.query('select 1 / 0').catch(() => 'caught')
    })
    await expect(failing).rejects.toMatchObject({ code: 'TRANSACTION_FAILED' })
  })

  test.each(['read committed', 'repeatable read', 'serializable'] as const)('runs %s', async (isolation) => {
    const level = await installation.tenancy
      .tenant('one')
      .transaction(
        async (transaction) =>
          (await transaction.query('show transaction_isolation')).rows[0]?.transaction_isolation,
        { isolation },
      )
    expect(level).toBe(isolation)
  })

  test.each(['read committed', 'serializable'] as const)(
    'refuses writes in a read only %s transaction',
    async (isolation) => {
      const writing = installation.tenancy
        .tenant('one')
        .transaction((transaction) => transaction.query('delete from note'), { isolation, readOnly: true })
      await expect(writing).rejects.toMatchObject({ code: '25006' })
    },
  )

  test('repeats a transaction after a serialization failure', async () => {
    const one = installation.tenancy.tenant('one')
    let runs = 0
    await one.transaction(
      async (transaction) => {
        runs += 1
        await transaction.query('select body from note where id = 1')
        if (runs === 1) await one.query("update note set body = 'by another' where id = 1")
        await transaction.query("update note set body = body || '!' where id = 1")
      },
      { isolation: 'repeatable read' },
    )
    expect(runs).toBe(2)
    expect((await one.query('select body from note')).rows).toEqual([{ body: 'by another!' }])
  })

  test('gives up after the attempts it may make', async () => {
    let runs = 0
    const failing = installation.tenancy.tenant('one').transaction(
      async () => {
        runs += 1
        const { DatabaseError } = (await import('pg')).default
        throw Object.assign(new DatabaseError('again', 5, 'error'), { code: '40001' })
      },
      { attemptsMax: 3 },
    )
    await expect(failing).rejects.toMatchObject({ code: '40001' })
    expect(runs).toBe(3)
  })

  test('serves a pg client: BEGIN, savepoint, ROLLBACK, and statements outside', async () => {
    const client = await installation.tenancy.tenant('one').pool.connect()
    try {
      await client.query('begin')
      await client.query('insert into note (id) values (2)')
      await client.query('savepoint before')
      await expect(client.query('insert into note (id) values (2)')).rejects.toMatchObject({ code: '23505' })
      await client.query('rollback to before')
      await client.query('commit')
      await client.query('begin')
      await client.query('delete from note')
      await client.query('rollback')
      expect((await client.query('select count(*)::integer as count from note')).rows).toEqual([{ count: 2 }])
    } finally {
      client.release()
    }
  })

  test('serves the callback forms of a pg pool', async () => {
    const { pool } = installation.tenancy.tenant('one')
    const rows = await new Promise((resolve, reject) => {
      pool.query('select body from note where id = $1', [1], (error, result) =>
        error ? reject(error) : resolve(result.rows),
      )
    })
    expect(rows).toEqual([{ body: 'of one' }])
    const connected = await new Promise((resolve, reject) => {
      pool.connect((error, client, done) => {
        if (error || !client || !done) return reject(error)
        client.query('select 1 as one').then((result) => {
          done()
          resolve(result.rows)
        }, reject)
      })
    })
    expect(connected).toEqual([{ one: 1 }])
    const failure = new Promise((_resolve, reject) => pool.query('select 1 / 0', [], reject))
    await expect(failure).rejects.toMatchObject({ code: '22012' })
  })

  test('serves Kysely, transactions included', async () => {
    const { kysely } = installation.tenancy.tenant('one')
    await kysely.transaction().execute(async (transaction) => {
      await transaction.insertInto('author').values({ id: 1, name: 'A' }).execute()
      await transaction.insertInto('note').values({ id: 5, body: 'k', author_id: 1 }).execute()
    })
    const failing = kysely.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('note').execute()
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await kysely.selectFrom('note').select('id').orderBy('id').execute()).toEqual([
      { id: 1 },
      { id: 5 },
    ])
    await kysely.deleteFrom('author').execute()
  })

  test('carries the tenant through AsyncLocalStorage, and nowhere else', async () => {
    const { tenancy } = installation
    expect(() => tenancy.current()).toThrowError(expect.objectContaining({ code: 'TENANT_MISSING' }))
    const bodies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        tenancy.run(index % 2 === 0 ? 'one' : 'two', async () => {
          await new Promise((resolve) => setTimeout(resolve, index % 3))
          return (await tenancy.current().query('select body from note')).rows[0]?.body
        }),
      ),
    )
    expect(bodies).toEqual(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'of one' : 'of two')))
  })

  test('knows the actor the context was sealed for, and nobody when none was', async () => {
    const sql =
      'select quickscale.actor_id() as id, quickscale.actor_role() as role, quickscale.tenant_id() as tenant'
    const { id } = await installation.tenancy.tenants.get('one')
    const actor = { id: 'user-7', role: 'läser' }
    const sealed = await installation.tenancy.tenant('one', { actor }).query(sql)
    expect(sealed.rows).toEqual([{ ...actor, tenant: id }])
    const nobody = await installation.tenancy.tenant('one').query(sql)
    expect(nobody.rows).toEqual([{ id: null, role: null, tenant: id }])
  })

  test('refuses an actor that could be read as another', () => {
    for (const actor of [
      { id: 'a|b', role: 'x' },
      { id: 'a', role: 'member|admin' },
      { id: 'a\n', role: '' },
      { id: 'a'.repeat(129), role: '' },
    ]) {
      expect(() => installation.tenancy.tenant('one', { actor })).toThrowError(
        expect.objectContaining({ code: 'ACTOR_INVALID' }),
      )
    }
  })

  test('finds a tenant by uuid as by slug, and none for other keys', async () => {
    const { id } = await installation.tenancy.tenants.get('one')
    expect((await installation.tenancy.tenant(id).query('select body from note')).rows).toEqual([
      { body: 'of one' },
    ])
    await expect(installation.tenancy.tenant('nobody').query('select 1')).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    })
    for (const key of [
      '',
      'One',
      '../one',
      "one' or true",
      '*',
      'a'.repeat(64),
      'one\0',
      null,
      undefined,
      0,
      {},
    ]) {
      expect(() => installation.tenancy.tenant(key as string)).toThrowError(
        expect.objectContaining({ code: 'TENANT_KEY_INVALID' }),
      )
    }
  })

  test('plans a prepared statement anew when its table has changed', async () => {
    const one = installation.tenancy.tenant('one')
    const read = () => one.query({ name: 'all', text: 'select * from note where id = 1' })
    expect(Object.keys((await read()).rows[0] ?? {})).not.toContain('extra')
    const { schemaName } = await installation.tenancy.tenants.placement('one')
    await installation.asOwner('one', `alter table ${schemaName}.note add column extra text`)
    expect(Object.keys((await read()).rows[0] ?? {})).toContain('extra')
    await installation.asOwner('one', `alter table ${schemaName}.note drop column extra`)
  })
})
