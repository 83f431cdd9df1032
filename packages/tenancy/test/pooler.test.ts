// The engine behind PgBouncer in transaction mode, with one backend for all: what one tenant leaves there meets the next.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Strategy, Tenancy } from '../src/index.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'
import { knowsPreparedStatements, type Pooler, startPgBouncer } from './support/pgbouncer.ts'

describe.each(strategies)('behind PgBouncer under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let pooler: Pooler
  let tenancy: Tenancy<NoteTables>
  /** A connection through the pooler with the password of a login role, as the next tenant's would be. */
  let neighbour: pg.Client

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    const logins = [await installation.loginTo('one'), await installation.loginTo('two')]
    pooler = await startPgBouncer(inject('databaseUrl'), logins)
    tenancy = await installation.another(strategy, {
      pooler: { url: pooler.url },
      connections: { statementTimeoutMs: 2_000, waitMs: 20_000 },
    })
    for (const slug of ['one', 'two']) {
      await tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
    }
    const [login] = logins
    const url = new URL(pooler.url)
    url.pathname = `/${login?.database}`
    url.username = login?.user ?? ''
    url.password = String(login?.password)
    neighbour = new pg.Client({ connectionString: url.href })
    await neighbour.connect()
    for (const direct of logins) await direct.end()
  })
  afterAll(async () => {
    await neighbour.end()
    await tenancy.close()
    await pooler.stop()
    await installation.close()
  })

  // One after the other: tenants of one database would change the same row of pg_proc.
  const grant = async (functions: string) => {
    for (const slug of ['one', 'two']) {
      await installation.asOwner(slug, `grant execute on function ${functions} to public`)
    }
  }
  const bodies = async (slug: string) =>
    (await tenancy.tenant(slug).query('select body from note order by id')).rows.map((row) => row.body)

  test('each tenant has its own rows, also side by side, prepared or in a transaction', async () => {
    const work = Array.from({ length: 40 }, async (_, index) => {
      const slug = index % 2 === 0 ? 'one' : 'two'
      const statement = { name: 'bodies', text: 'select body from note where id = $1', values: [1] }
      const { rows } =
        index % 4 < 2
          ? await tenancy.tenant(slug).query(statement)
          : await tenancy.tenant(slug).transaction((transaction) => transaction.query(statement))
      return rows[0]?.body === slug
    })
    expect(new Set(await Promise.all(work))).toEqual(new Set([true]))
  })

  test('no context is left on the backend', async () => {
    expect(await bodies('one')).toEqual(['one'])
    const { rows } = await neighbour.query("select current_setting('quickscale.context', true) as context")
    expect(rows[0].context ?? '').toBe('')
    const { schemaName } = await tenancy.tenants.placement('one')
    await expect(neighbour.query(`select * from ${schemaName}.note`)).rejects.toMatchObject({ code: 'QS006' })
  })

  test('no prepared statement is left on the backend, nor is one that lies there used', async () => {
    await grant('pg_catalog.pg_prepared_statement()')
    await tenancy.tenant('one').query({ name: 'left', text: 'select 1' })
    const count = 'select count(*)::integer as count from pg_prepared_statements'
    expect((await neighbour.query(count)).rows).toEqual([{ count: 0 }])
    await neighbour.query("prepare bodies as select 'stolen' as body")
    expect(
      (await tenancy.tenant('one').query({ name: 'bodies', text: 'select body from note' })).rows,
    ).toEqual([{ body: 'one' }])
    await neighbour.query('deallocate all')
  })

  test('no setting reaches the next tenant, where the server cannot forbid it', async () => {
    await grant('pg_catalog.set_config(text, text, boolean)')
    const change = "select set_config('enable_seqscan', 'off', false)"
    const seen = async () => (await neighbour.query('show enable_seqscan')).rows[0].enable_seqscan
    // What a session may do is asked when its connection opens.
    const allowed = await installation.another(strategy, { pooler: { url: pooler.url } })
    await allowed.tenant('one').query(change)
    expect(await seen()).toBe('on')
    await allowed.tenant('one').transaction((transaction) => transaction.query(change))
    expect(await seen()).toBe('on')
    await expect(allowed.tenant('one').query(`${change}, 1 / 0`)).rejects.toMatchObject({ code: '22012' })
    expect(await seen()).toBe('on')
    await allowed.close()
  })

  test('no session lock reaches the next tenant: what might take one is refused, where the server cannot forbid it', async () => {
    const lock = 'select pg_advisory_lock(1), 1 / (select 0)'
    const forbidden = await installation.another(strategy, { pooler: { url: pooler.url } })
    await expect(forbidden.tenant('one').query(lock)).rejects.toMatchObject({ code: '42501' })
    await forbidden.close()
    await grant('pg_catalog.pg_advisory_lock(bigint)')
    const allowed = await installation.another(strategy, { pooler: { url: pooler.url } })
    await expect(allowed.tenant('one').query(lock)).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
    await expect(
      allowed.tenant('one').transaction((transaction) => transaction.query(lock)),
    ).rejects.toMatchObject({ code: 'STATEMENT_REFUSED' })
    await allowed.close()
    const { rows } = await installation.inCatalog(
      `select count(*)::integer as count from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and starts_with(datname, $1) and mode = 'ExclusiveLock'`,
      [installation.name],
    )
    expect(rows).toEqual([{ count: 0 }])
  })

  test('a statement is limited in time, and the next session on its backend is not', async () => {
    await expect(tenancy.tenant('one').query('select pg_sleep(60)')).rejects.toMatchObject({ code: '57014' })
    const slow = tenancy.tenant('one').transaction((transaction) => transaction.query('select pg_sleep(60)'))
    await expect(slow).rejects.toMatchObject({ code: '57014' })
    expect((await neighbour.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '0' }])
  })

  test('a transaction that was left open, or failed, hands nothing on', async () => {
    const client = await tenancy.tenant('one').pool.connect()
    await client.query('begin')
    await client.query("insert into note (id, body) values (2, 'left')")
    client.release()
    const failing = tenancy.tenant('one').transaction(async (transaction) => {
      await transaction.query("insert into note (id, body) values (3, 'left')")
      await transaction.query('select 1 / 0')
    })
    await expect(failing).rejects.toMatchObject({ code: '22012' })
    expect(await bodies('two')).toEqual(['two'])
    expect(await bodies('one')).toEqual(['one'])
  })

  test('tenants are made past the pooler, which knows nothing of them', async () => {
    await tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only' })
    expect(await tenancy.tenants.get('three')).toMatchObject({ state: 'active' })
  })

  test('a pooler that keeps names is sent named statements', async () => {
    // The server itself keeps them too.
    const named = await installation.another(strategy, {
      pooler: { url: inject('databaseUrl'), namedStatements: true },
      connections: { perDatabase: 1, perSilo: 1 },
    })
    const query = { name: 'bodies', text: 'select * from note' }
    const work = async (slug: string) =>
      expect((await named.tenant(slug).query(query)).rows).toMatchObject([{ body: slug }])
    const kept = async () => {
      const text = "select statement from pg_prepared_statements where name ~ '^quickscale_[0-9]'"
      return (await named.tenant('one').query(text)).rows.map((row) => row.statement)
    }
    for (let time = 0; time < 2; time += 1) await work('one')
    const own = await kept()
    expect(own).toHaveLength(1)
    // A pooler knows statements by their text: in another schema it is another one.
    await work('two')
    expect(new Set(await kept()).size).toBe(strategy === 'schema' ? 2 : 1)
    // So it is after a change of the tables, which what a pooler keeps does not survive.
    const { schemaName } = await tenancy.tenants.placement('one')
    const alter = (change: string) => installation.asOwner('one', `alter table ${schemaName}.note ${change}`)
    await alter('add column extra text')
    await work('one')
    expect(await kept()).not.toContain(own[0])
    await alter('drop column extra')
    await named.close()
  })

  test("a named text has the columns of the tenant's own tables, as they are then, whatever PgBouncer keeps", async () => {
    const named = await installation.another(strategy, {
      pooler: { url: pooler.url, namedStatements: knowsPreparedStatements() },
      connections: { waitMs: 20_000 },
    })
    const { schemaName } = await tenancy.tenants.placement('one')
    const alter = (change: string) => installation.asOwner('one', `alter table ${schemaName}.note ${change}`)
    const text = 'select * from note where id = $1'
    const read = async (slug: string, name: string) => {
      const statement = { name, text, values: [1] }
      const { rows } = await named.tenant(slug).query(statement)
      const again = await named.tenant(slug).transaction(({ query }) => query(statement))
      expect(again.rows).toEqual(rows)
      expect(rows).toMatchObject([{ body: slug }])
      return rows[0] ?? {}
    }
    const isShared = strategy === 'rls'
    for (const name of ['first', 'second']) {
      await alter("add column extra text default 'x'")
      const seen = await Promise.all(['one', 'two', 'one', 'two'].map((slug) => read(slug, name)))
      expect(seen.map((row) => 'extra' in row)).toEqual([true, isShared, true, isShared])
      await alter('drop column extra')
      for (const slug of ['two', 'one']) expect(await read(slug, name)).not.toHaveProperty('extra')
    }
    await named.close()
  })
})
