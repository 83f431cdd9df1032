import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Move } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

describe('a move whose places do not have the same rows', () => {
  let installation: TestInstallation
  let pool: string
  let movable = true

  beforeAll(async () => {
    installation = await TestInstallation.open('schema')
    pool = `${installation.name}_pool`
    const { rows } = await installation.inCatalog(
      "select current_setting('server_version_num')::integer >= 170000 as movable",
    )
    movable = rows[0].movable
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
    if (!movable) return expect((await moves.plan('one', { to: 'rls' })).obstacles).not.toEqual([])
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

  test('again and again ends, says where they differ, keeps no log, and can be taken back or gone on with', async () => {
    const { moves, tenant, tenants } = installation.tenancy
    if (!movable) return expect((await moves.plan('two', { to: 'rls' })).obstacles).not.toEqual([])
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
})
