import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Move } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

describe('a move whose places do not have the same rows', () => {
  let installation: TestInstallation
  let pool: string

  beforeAll(async () => {
    installation = await TestInstallation.open('schema')
    pool = `${installation.name}_pool`
    for (const key of ['one', 'two']) {
      await installation.tenancy
        .tenant(key)
        .query("insert into note (id, body) select n, 'note ' || n from generate_series(1, 50) as n")
    }
  })

  afterAll(async () => {
    await installation?.close()
  })

  const streamsOf = async ({ id }: Pick<Move, 'id'>) =>
    (
      await installation.inDatabase(
        pool,
        `select slot_name::text as name from pg_replication_slots where slot_name like $1
         union all select pubname from pg_publication where pubname like $1`,
        [`quickscale_${id.replaceAll('-', '')}%`],
      )
    ).rows

  test.each([
    ['a row is missing', 'delete from app.note where tenant_id = $1 and id = 7'],
    [
      'a row is there that nobody has brought',
      "insert into app.note (tenant_id, id, body) values ($1, 2000, '')",
    ],
  ])('begins anew when at its target %s', async (_, intrusion) => {
    const { moves, tenant, tenants } = installation.tenancy
    const { id: tenantId } = await tenants.get('one')
    const states: string[] = []
    const { promise: streaming, resolve } = Promise.withResolvers<void>()
    let moving: Promise<Move> | undefined
    // While this is open nothing is compared.
    await tenant('one').transaction(async (transaction) => {
      await transaction.query('select 1')
      moving = moves.start('one', {
        to: 'rls',
        onProgress: ({ state, progress }) => {
          if (states.at(-1) !== state) states.push(state)
          if (state === 'streaming' && progress.lagMs !== undefined) resolve()
        },
      })
      await Promise.race([streaming, moving])
      const changed = await installation.inDatabase(pool, intrusion, [tenantId])
      expect(changed.rowCount).toBe(1)
      await transaction.query("update note set body = 'changed' where id = 8")
    })
    expect(await moving).toMatchObject({ state: 'active', failure: null })
    expect(states.filter((state) => state === 'streaming').length).toBe(2)
    const { rows } = await tenant('one').query('select count(*)::integer as count from note where id <= 50')
    expect(rows).toEqual([{ count: 50 }])
    expect((await moves.rollback('one')).state).toBe('returned')
  })

  test('is refused before anything is changed when rows are beside the schema', async () => {
    const { moves, tenants } = installation.tenancy
    const { id: tenantId } = await tenants.get('two')
    await installation.inDatabase(
      pool,
      "insert into app.note (tenant_id, id, body) values ($1, 1, 'stray')",
      [tenantId],
    )
    for (const to of ['rls', 'database'] as const) {
      const { obstacles } = await moves.plan('two', { to })
      expect(obstacles).toContainEqual(
        expect.stringContaining('the tenant has 1 rows in app.note, beside its schema'),
      )
      await expect(moves.start('two', { to })).rejects.toMatchObject({ code: 'MOVE_REFUSED' })
    }
    await installation.inDatabase(pool, 'delete from app.note where tenant_id = $1', [tenantId])
  })

  test('has room at both of its ends, and goes on when the connection that locks the tenant is ended', async () => {
    const { moves, tenant } = installation.tenancy
    const reserved = async () => {
      const { rows } = await installation.inCatalog(
        `select (shared -> 0 ->> 'row_tenants')::integer as rows, (shared -> 0 ->> 'schema_tenants')::integer as schemas
           from catalog.list_supply('rls')`,
      )
      return rows[0]
    }
    const { promise: streaming, resolve } = Promise.withResolvers<void>()
    let moving: Promise<Move> | undefined
    await tenant('one').transaction(async (transaction) => {
      await transaction.query('select 1')
      moving = moves.start('one', {
        to: 'rls',
        onProgress: ({ progress }) => {
          if (progress.cutoversFailed !== undefined) resolve()
        },
      })
      await Promise.race([streaming, moving])
      expect(await reserved()).toEqual({ rows: 1, schemas: 2 })
      const ended = await installation.inDatabase(
        pool,
        `select pg_terminate_backend(pid, 5000) from pg_stat_activity
          where application_name ~ '^move .* lock$' and datname = current_database()`,
      )
      expect(ended.rowCount).toBe(1)
    })
    const { id } = (await moving) as Move
    const { rows } = await installation.inCatalog('select lease from catalog.move where id = $1', [id])
    expect(rows).toEqual([{ lease: 1 }])
    expect(await reserved()).toEqual({ rows: 1, schemas: 2 })
    await moves.rollback('one')
    expect(await reserved()).toEqual({ rows: 0, schemas: 2 })
  })

  test('again and again ends, says where they differ, keeps no log, and can be taken back or gone on with', async () => {
    const { moves, tenant, tenants } = installation.tenancy
    const { id: tenantId } = await tenants.get('two')
    const drop = async (where: string) =>
      await installation.inDatabase(
        pool,
        `create function public.lose() returns trigger language plpgsql as $$
           begin return case when ${where} then null else new end; end $$;
         create trigger lose before insert on app.note for each row execute function public.lose();
         alter table app.note enable always trigger lose`,
      )
    const undo = () => installation.inDatabase(pool, 'drop function public.lose cascade')
    // The copy itself loses a row, every time.
    await drop(`new.tenant_id = '${tenantId}' and new.id = 9`)
    const failing = moves.start('two', { to: 'rls' })
    await expect(failing).rejects.toMatchObject({
      code: 'MOVE_STALLED',
      details: { reason: 'note has 50 rows here and 49 there' },
    })
    const stalled = await moves.get('two')
    expect(stalled).toMatchObject({ state: 'planned', failure: 'note has 50 rows here and 49 there' })
    expect(await streamsOf(stalled)).toEqual([])
    await undo()
    // What is written meanwhile is lost there, every time.
    await drop(`new.tenant_id = '${tenantId}' and new.body = 'meanwhile'`)
    const { failed } = await moves.resume({
      onProgress: ({ state, progress }) => {
        if (state !== 'streaming' || progress.lagMs !== undefined) return
        void tenant('two').query("update note set body = 'meanwhile' where id = 3")
      },
    })
    expect(failed).toMatchObject([{ move: stalled.id, error: { code: 'MOVE_STALLED' } }])
    expect(await streamsOf(stalled)).toEqual([])
    await undo()
    expect((await moves.resume()).moves).toMatchObject([{ id: stalled.id, state: 'active', failure: null }])
    const { rows } = await tenant('two').query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 50 }])
    await moves.rollback('two')
  })

  test('is looked for before the source goes when the mover was killed between the switch and its audit', async () => {
    const { moves, tenants } = installation.tenancy
    const { id: tenantId } = await tenants.get('two')
    const { source } = await moves.start('two', { to: 'rls' })
    await installation.inCatalog(
      "update catalog.move set progress = progress - 'audited' where tenant_id = $1",
      [tenantId],
    )
    await installation.inDatabase(pool, `delete from ${source.schema}.note where id = 5`)
    const differences = ['note has 50 rows here and 49 there']
    await expect(moves.finish('two')).rejects.toMatchObject({ code: 'MOVE_STALLED' })
    expect(await moves.get('two')).toMatchObject({ state: 'active', progress: { audited: { differences } } })
    await moves.finish('two', { acceptDifferences: true })
  })

  test('is found at the switch at the latest, and its source is kept unless that is accepted', async () => {
    const { moves, tenants } = installation.tenancy
    const { id: tenantId } = await tenants.get('one')
    // What a mover waits for when all rows have been compared, right before the switch.
    const lock = await installation.connectTo(`${installation.name}_catalog`)
    const { promise: copying, resolve } = Promise.withResolvers<void>()
    const moving = moves.start('one', { to: 'rls', onProgress: () => resolve() })
    await Promise.race([copying, moving])
    await lock.query("select pg_advisory_lock(hashtextextended('tenant one', 0))")
    const waiting = () =>
      lock.query(`select from pg_stat_activity where application_name = 'quickscale locks' and wait_event = 'advisory'
                     and datname = current_database()`)
    await expect.poll(async () => (await waiting()).rowCount, { timeout: 20_000 }).toBe(1)
    const note = 'tenant_id = $1 and id = 5'
    await installation.inDatabase(pool, `delete from app.note where ${note}`, [tenantId])
    await lock.end()
    const { progress } = await moving
    const differences = ['note has 50 rows here and 49 there']
    expect(progress.audited).toEqual({ tables: 2, differences })
    const refused = { code: 'MOVE_STALLED', details: { reason: expect.stringContaining(differences.join()) } }
    await expect(moves.finish('one')).rejects.toMatchObject(refused)
    expect(await moves.get('one')).toMatchObject({ state: 'active', request: null })
    const done = await moves.finish('one', { acceptDifferences: true })
    expect(done).toMatchObject({
      state: 'done',
      progress: { removed: expect.stringMatching(/^schema tenant_/) },
    })
  })
})
