import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const pairs = strategies.flatMap((from) =>
  strategies.filter((to) => to !== from).map((to): [Strategy, Strategy] => [from, to]),
)

/** Writes without a pause, and knows what was acknowledged. */
class Writer {
  readonly acknowledged: number[] = []
  readonly errors: unknown[] = []
  #stopped = false
  #running: Promise<void>

  constructor(installation: TestInstallation, key: string, first: number) {
    this.#running = this.#write(installation, key, first)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #write(installation: TestInstallation, key: string, first: number): Promise<void> {
    for (let id = first; !this.#stopped; id += 1) {
      try {
        await installation.tenancy
          .tenant(key)
          .query({ text: 'insert into note (id, body) values ($1, $2)', values: [id, `written ${id}`] })
        this.acknowledged.push(id)
      } catch (error) {
        this.errors.push(error)
        return
      }
    }
  }
}

async function versionOf(installation: TestInstallation): Promise<number> {
  const { rows } = await installation.inCatalog(
    `select current_setting('server_version_num')::integer / 10000 as version`,
  )
  return rows[0].version
}

describe.each(strategies)('a tenant moved from %s', (from) => {
  let installation: TestInstallation
  let writer: Writer | undefined

  beforeAll(async () => {
    installation = await TestInstallation.open(from)
  })

  afterAll(async () => {
    await writer?.stop()
    await installation?.close()
  })

  test.each(pairs.filter(([source]) => source === from))(
    '(%s) to %s keeps every acknowledged write, there and back',
    async (_, to) => {
      const { tenancy } = installation
      const one = tenancy.tenant('one')
      await tenancy
        .tenant('two')
        .query(
          `insert into note (id, body) values (${to === 'rls' ? 1 : 2}, 'of two') on conflict do nothing`,
        )
      await one.query('delete from note')
      await one.query(
        "insert into note (id, body, amount) select n, 'first', n / 7.0 from generate_series(-500, -1) as n",
      )
      writer = new Writer(installation, 'one', 1)
      if ((await versionOf(installation)) < 17) {
        await expect(tenancy.moves.start('one', { to })).rejects.toMatchObject({
          code: 'MOVE_REFUSED',
          details: { reasons: expect.stringContaining('moves need 17') },
        })
        return
      }
      const move = await tenancy.moves.start('one', { to })
      expect(move).toMatchObject({ state: 'active', source: { strategy: from }, target: { strategy: to } })
      expect(await tenancy.tenants.placement('one')).toMatchObject({ strategy: to })
      const back = await tenancy.moves.rollback('one')
      expect(back.state).toBe('returned')
      await writer.stop()
      expect(writer.errors).toEqual([])
      const { rows } = await one.query('select id from note where id > 0 order by id')
      expect(rows.map(({ id }) => id)).toEqual(writer.acknowledged)
      expect(await tenancy.tenants.placement('one')).toMatchObject({ strategy: from })
    },
  )

  test('is refused with a part of the time that is none, before anything is changed', async () => {
    const { moves, tenants, servers } = installation.tenancy
    const rebalancing = { moves: [], servers: [] }
    for (const copyShare of [0, -1, 1.5, 5, Number.NaN]) {
      const refused = { code: 'MOVE_OPTION_INVALID', details: { field: 'copyShare' } }
      await expect(moves.start('one', { to: 'schema', copyShare })).rejects.toMatchObject(refused)
      await expect(moves.resume({ copyShare })).rejects.toMatchObject(refused)
      await expect(moves.rollback('one', { copyShare })).rejects.toMatchObject(refused)
      await expect(tenants.changePlan('one', 'only', { copyShare })).rejects.toMatchObject(refused)
      await expect(servers.drain('primary', { copyShare })).rejects.toMatchObject(refused)
      await expect(servers.rebalance(rebalancing, { copyShare })).rejects.toMatchObject(refused)
      expect(() => moves.watch({ copyShare })).toThrow(expect.objectContaining({ code: refused.code }))
    }
    expect(await moves.list({ unfinished: true })).toEqual([])
    expect((await servers.get('primary')).state).toBe('open')
  })

  test('is verified against its source while it writes, until the way back is over', async () => {
    if ((await versionOf(installation)) < 17) return
    const { moves, tenant, tenants } = installation.tenancy
    await tenant('two').query("insert into note (id, body) values (-1, 'before') on conflict do nothing")
    const destination = { to: from === 'rls' ? 'schema' : 'rls' } as const
    await expect(moves.verify('two')).rejects.toMatchObject({ code: 'MOVE_NOT_FOUND' })
    const { id, source, progress } = await moves.start('two', destination)
    expect(progress.audited).toEqual({ tables: 2, differences: [] })
    writer = new Writer(installation, 'two', 1_000)
    const same = { move: id, tables: 2, differences: [] }
    expect(await moves.verify('two')).toEqual(same)
    expect(await moves.verify(id)).toEqual(same)

    const { id: tenantId } = await tenants.get('two')
    const write = (body: string) =>
      installation.inDatabase(
        source.database,
        `update "${source.schema}".note set body = $1 where id = -1 and tenant_id = $2`,
        [body, tenantId],
      )
    expect((await write('changed behind its back')).rowCount).toBe(1)
    expect((await moves.verify('two')).differences).toEqual(['rows of note have other values'])
    await write('before')
    expect(await moves.verify('two')).toEqual(same)
    const returned = await moves.rollback('two')
    expect(returned).toMatchObject({ state: 'returned', progress: { removed: expect.any(String) } })
    await writer.stop()
    expect(writer.errors).toEqual([])
    const { rows } = await tenant('two').query('select id from note where id >= 1000 order by id')
    expect(rows.map((row) => row.id)).toEqual(writer.acknowledged)
    await expect(moves.verify(id)).rejects.toMatchObject({ code: 'MOVE_OVER' })
  })

  test('whose mover is gone in the instant between two places is let in by whoever waits for it', async () => {
    const { tenancy } = installation
    const to = from === 'database' ? 'schema' : 'database'
    if ((await versionOf(installation)) < 17) {
      await expect(tenancy.moves.plan('one', { to })).resolves.toMatchObject({
        obstacles: expect.arrayContaining([expect.stringContaining('moves need 17')]),
      })
      return
    }
    const mover = await installation.another(from)
    const stopped = new AbortController()
    const { promise: streaming, resolve } = Promise.withResolvers<void>()
    const moving = mover.moves
      .start('one', {
        to,
        signal: stopped.signal,
        onProgress: ({ state, progress }) => {
          if (state === 'streaming' && progress.lagMs !== undefined) resolve()
        },
      })
      .catch(() => 'stopped')
    let blocker: pg.Client | undefined
    // While this is open, nothing is switched: time to lock the fence of the next place.
    await tenancy.tenant('one').transaction(async (transaction) => {
      await transaction.query('select 1')
      await Promise.race([streaming, moving])
      const { target } = await tenancy.moves.get('one')
      blocker = await installation.connectTo(target.database)
      await blocker.query('begin')
      await blocker.query('select from quickscale.placement where tenant_id = $1 for update', [
        (await tenancy.tenants.get('one')).id,
      ])
    })
    const { source } = await tenancy.moves.get('one')
    await expect
      .poll(
        async () => {
          const { rows } = await installation.inDatabase(
            source.database,
            'select state from quickscale.move_end where role = $1',
            ['source'],
          )
          return rows[0]?.state
        },
        { timeout: 30_000 },
      )
      // The switch is done, and its target may be open.
      .toBe('active')
    stopped.abort()
    await installation.inCatalog(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where application_name like 'move %' and datname like '${installation.name}%'`,
    )
    expect(await moving).toBe('stopped')
    await mover.close()
    const waiting = tenancy.tenant('one').query('select 1 as here')
    await blocker?.end()
    expect((await waiting).rows).toEqual([{ here: 1 }])
    await expect.poll(async () => (await tenancy.moves.get('one')).state, { timeout: 20_000 }).toBe('active')
    await tenancy.moves.rollback('one')
  })
})
