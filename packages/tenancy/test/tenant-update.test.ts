import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { strategies, TestInstallation } from './support/installation.ts'

describe.each(strategies)('changing a tenant under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  beforeAll(async () => {
    const other: Strategy = strategy === 'rls' ? 'schema' : 'rls'
    installation = await TestInstallation.open(strategy, {
      plans: {
        only: { strategy },
        better: { strategy },
        moved: { strategy: other },
        nowhere: { strategy: other, placement: { labels: ['gold'] } },
      },
    })
    for (const slug of ['one', 'two'])
      await installation.tenancy.tenant(slug).query('insert into note (id, body) values (1, $1)', [slug])
  })
  afterAll(() => installation.close())

  const read = async (key: string) =>
    (await installation.tenancy.tenant(key).query('select body from note')).rows

  /** As if a minute had passed. */
  test('gives it another slug and name, and leaves its place alone', async () => {
    const { tenants } = installation.tenancy
    const before = await tenants.placement('one')
    const { id } = await tenants.get('one')
    expect(await read('one')).toEqual([{ body: 'one' }])
    expect(await tenants.rename('one', { slug: 'uno', name: ' Uno ' })).toMatchObject({
      id,
      slug: 'uno',
      name: 'Uno',
    })
    expect(await tenants.placement('uno')).toEqual(before)
    expect(await read('uno')).toEqual([{ body: 'one' }])
    expect(await read(id)).toEqual([{ body: 'one' }])
    await expect(read('one')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    await expect(tenants.rename('uno', { slug: 'two' })).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
    await expect(tenants.rename('uno', { slug: 'U' })).rejects.toMatchObject({ code: 'TENANT_KEY_INVALID' })
    await expect(tenants.rename('uno', { name: '' })).rejects.toMatchObject({ code: 'TENANT_INVALID' })
    await tenants.rename('uno', { slug: 'one' })
    expect(await read('one')).toEqual([{ body: 'one' }])
  })

  test('gives its old slug to nobody else while requests for it may still reach it', async () => {
    const { tenants } = installation.tenancy
    const remembers = await installation.another(strategy)
    await remembers.tenant('one').query('select 1')
    // Nobody hears of it, as when a process is cut off from the catalog.
    await installation.inCatalog('alter table catalog.tenant disable trigger announce')
    await tenants.rename('one', { slug: 'uno' })
    await installation.inCatalog('alter table catalog.tenant enable trigger announce')
    await expect(tenants.rename('two', { slug: 'one' })).rejects.toMatchObject({ code: 'SLUG_RESTING' })
    await expect(tenants.create({ slug: 'one', name: 'x', plan: 'only' })).rejects.toMatchObject({
      code: 'SLUG_RESTING',
    })
    // This is what would go wrong: the process that remembers the slug reaches its old owner.
    expect((await remembers.tenant('one').query('select body from note')).rows).toEqual([{ body: 'one' }])
    await installation.inCatalog("update catalog.released_slug set released_at = now() - interval '1 year'")
    await expect(tenants.rename('two', { slug: 'one' })).rejects.toMatchObject({ code: 'SLUG_RESTING' })
    await tenants.rename('uno', { slug: 'one' })
  })

  test('gives its old slug up when it is deleted', async () => {
    const { tenants } = installation.tenancy
    await tenants.create({ slug: 'three', name: 'Three', plan: 'only' })
    await tenants.rename('three', { slug: 'tres' })
    const again = { slug: 'three', name: 'Three again', plan: 'only' }
    await expect(tenants.create(again)).rejects.toMatchObject({ code: 'SLUG_RESTING' })
    await tenants.delete('tres')
    await tenants.create(again)
    expect(await read('three')).toEqual([])
    await tenants.delete('three')
  })

  test('gives a slug to one of those who want it at the same time', async () => {
    const { tenants } = installation.tenancy
    const outcomes = await Promise.allSettled([
      tenants.rename('one', { slug: 'wanted' }),
      tenants.rename('two', { slug: 'wanted' }),
      tenants.create({ slug: 'wanted', name: 'x', plan: 'only' }),
    ])
    const codes = outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? 'done' : (outcome.reason as { code: string }).code,
    )
    expect(codes.filter((code) => code === 'done')).toHaveLength(1)
    expect(codes.filter((code) => code === 'TENANT_EXISTS')).toHaveLength(2)
    const winner = await tenants.get('wanted')
    const slug = ['one', 'two'][codes.indexOf('done')]
    if (slug === undefined) await tenants.delete('wanted')
    else await tenants.rename(winner.id, { slug })
  })

  test('takes a plan of its strategy and a parent that is none of its own children', async () => {
    const { tenants } = installation.tenancy
    expect(await tenants.update('two', { plan: 'better', parent: 'one', name: 'Two' })).toMatchObject({
      plan: 'better',
      name: 'Two',
      parentId: (await tenants.get('one')).id,
    })
    await expect(tenants.update('two', { plan: 'moved' })).rejects.toMatchObject({ code: 'PLAN_NEEDS_MOVE' })
    await expect(tenants.update('two', { plan: 'none' })).rejects.toMatchObject({ code: 'PLAN_UNKNOWN' })
    await expect(tenants.update('two', { parent: 'nobody' })).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    })
    for (const key of ['one', 'two']) {
      await expect(tenants.update('one', { parent: key })).rejects.toMatchObject({
        code: 'TENANT_INVALID',
        details: { field: 'parent' },
      })
    }
    const audits = async () => {
      const { id } = await tenants.get('two')
      const { rows } = await installation.inCatalog(
        "select details -> 'changes' as changes from catalog.audit where tenant_id = $1 and action = 'tenant.updated'",
        [id],
      )
      return rows
    }
    const written = await audits()
    expect(written).toEqual([
      { changes: { plan: 'better', name: 'Two', parentId: (await tenants.get('one')).id } },
    ])
    await tenants.update('two', { plan: 'better', name: 'Two' })
    expect(await audits()).toEqual(written)
    expect(await tenants.update('two', { parent: null })).toMatchObject({ parentId: null })
  })

  test('makes no two tenants parents of each other, though both get one at the same time', async () => {
    const { tenants } = installation.tenancy
    for (let time = 0; time < 5; time += 1) {
      const outcomes = await Promise.allSettled([
        tenants.update('one', { parent: 'two' }),
        tenants.update('two', { parent: 'one' }),
      ])
      const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
      expect(refused).toMatchObject([{ code: 'TENANT_INVALID' }])
      for (const slug of ['one', 'two']) await tenants.update(slug, { parent: null })
    }
  })

  describe('in a tree', () => {
    const levels = `select 'level' || n as slug, md5('level' || n)::uuid as id, md5('level' || n - 1)::uuid as above, n
                      from generate_series(0, $1) as n`
    const deepest = limits.lineageMax
    const refusal = { code: 'TENANT_INVALID', details: { field: 'parent' } }
    beforeAll(async () => {
      await installation.inCatalog(
        `insert into catalog.tenant (id, slug, name, plan_id, parent_id)
           select id, slug, slug, 'only', case when n > 0 then above end from (${levels}) as level order by n`,
        [deepest],
      )
    })
    afterEach(async () => {
      for (const slug of ['one', 'two']) await installation.tenancy.tenants.update(slug, { parent: null })
    })

    test('makes none that would have more above it than count', async () => {
      const { tenants } = installation.tenancy
      const wanted = { slug: 'leaf', name: 'Leaf', plan: 'only' }
      const below = `level${deepest}`
      await expect(tenants.create({ ...wanted, parent: below })).rejects.toMatchObject(refusal)
      await expect(tenants.begin({ ...wanted, parent: below })).rejects.toMatchObject(refusal)
      await expect(tenants.get('leaf')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
      await tenants.create({ ...wanted, parent: `level${deepest - 1}` })
      await tenants.delete('leaf')
    })

    test('puts nobody below one that is deleted, by its uuid either', async () => {
      const { tenants } = installation.tenancy
      const { id: parent } = await tenants.create({ slug: 'gone', name: 'Gone', plan: 'only' })
      await tenants.delete('gone')
      const gone = { code: 'TENANT_DELETED' }
      await expect(
        tenants.create({ slug: 'leaf', name: 'Leaf', plan: 'only', parent }),
      ).rejects.toMatchObject(gone)
      await expect(tenants.update('one', { parent })).rejects.toMatchObject(gone)
      expect(await tenants.get('one')).toMatchObject({ parentId: null })
    })

    test('moves none, with those below it, to where one would have more above it than count', async () => {
      const { tenants } = installation.tenancy
      await expect(tenants.update('one', { parent: `level${deepest}` })).rejects.toMatchObject(refusal)
      await tenants.update('two', { parent: 'one' })
      await expect(tenants.update('one', { parent: `level${deepest - 1}` })).rejects.toMatchObject(refusal)
      expect(await tenants.get('one')).toMatchObject({ parentId: null })
      await tenants.update('one', { parent: `level${deepest - 2}` })
      expect(await installation.tenancy.members.lineage('two')).toHaveLength(deepest + 1)
    })

    test('moves no two at the same time, of which each alone would fit', async () => {
      const { tenants } = installation.tenancy
      const outcomes = await Promise.allSettled([
        tenants.update('one', { parent: `level${deepest - 1}` }),
        tenants.update('two', { parent: 'one' }),
        tenants.create({ slug: 'leaf', name: 'Leaf', plan: 'only', parent: 'one' }),
      ])
      const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
      for (const reason of refused) expect(reason).toMatchObject(refusal)
      const [moved, ...below] = outcomes.map(({ status }) => status === 'fulfilled')
      expect(below).toEqual(moved ? [false, false] : expect.arrayContaining([true]))
      if (below[1]) await tenants.delete('leaf')
    })

    test('makes none below one that moves at that moment to where it would not fit', async () => {
      const { tenants } = installation.tenancy
      const mover = await installation.connectTo(`${installation.name}_catalog`)
      try {
        await mover.query('begin')
        await mover.query(
          `update catalog.tenant set parent_id = md5('level' || $1::integer)::uuid where slug = 'one'`,
          [deepest - 1],
        )
        let settled = false
        const made = tenants
          .create({ slug: 'late', name: 'Late', plan: 'only', parent: 'one' })
          .finally(() => {
            settled = true
          })
        const outcome = expect(made).rejects.toMatchObject(refusal)
        // It waits for the mover, or else it has been made already.
        const waits = `select from pg_locks where locktype = 'advisory' and not granted
                          and pg_backend_pid() = any (pg_blocking_pids(pid))`
        while (!settled && (await mover.query(waits)).rowCount === 0);
        await mover.query('commit')
        await outcome
      } finally {
        await mover.end()
      }
    })
  })

  /** From version 17 on tenants move. */
  const canMove = async () => {
    const { rows } = await installation.inCatalog(
      "select current_setting('server_version_num')::integer as n",
    )
    return rows[0].n >= 170_000
  }

  test('takes a plan of another strategy by a move, and has the earlier one again after a rollback', async () => {
    const { tenants, moves } = installation.tenancy
    expect(await tenants.changePlan('one', 'better')).toMatchObject({
      tenant: { plan: 'better' },
      move: null,
    })
    for (const [key, plan, code] of [
      ['one', 'none', 'PLAN_UNKNOWN'],
      ['nobody', 'better', 'TENANT_NOT_FOUND'],
      ['one', 'nowhere', 'PLACEMENT_REFUSED'],
      ...((await canMove()) ? [] : [['one', 'moved', 'MOVE_REFUSED']]),
    ] as const) {
      await expect(tenants.changePlan(key, plan)).rejects.toMatchObject({ code })
    }
    expect(await tenants.get('one')).toMatchObject({ plan: 'better' })
    expect(await moves.list()).toEqual([])
    if (!(await canMove())) return

    const { tenant, move } = await tenants.changePlan('one', 'moved', { copyShare: 1 })
    expect([tenant.plan, move]).toMatchObject(['moved', { state: 'active', plan: 'moved' }])
    expect(await tenants.placement('one')).toMatchObject({ strategy: move?.target.strategy, epoch: 2 })
    expect(move?.target.strategy).not.toBe(strategy)
    expect(await read('one')).toEqual([{ body: 'one' }])
    expect(await tenants.changePlan('one', 'moved')).toMatchObject({ tenant: { plan: 'moved' }, move: null })
    await expect(tenants.changePlan('one', 'better')).rejects.toMatchObject({ code: 'TENANT_MOVING' })
    expect((await tenants.get('one')).plan).toBe('moved')
    await moves.rollback('one', { copyShare: 1 })
    expect(await tenants.get('one')).toMatchObject({ plan: 'better' })
    expect(await tenants.placement('one')).toMatchObject({ strategy, epoch: 3 })
    expect(await read('one')).toEqual([{ body: 'one' }])
  })

  test('goes on with a change of plan that was interrupted, in the same move', async () => {
    if (!(await canMove())) return
    const { tenants, moves } = installation.tenancy
    const quick = { copyShare: 1, rollbackWindowMs: 0 }
    const options = { ...quick, signal: AbortSignal.abort() }
    await expect(tenants.changePlan('two', 'moved', options)).rejects.toMatchObject({ name: 'AbortError' })
    const [begun] = await moves.list({ tenant: 'two' })
    expect([begun?.state, (await tenants.get('two')).plan]).toEqual(['planned', 'better'])
    const { tenant, move } = await tenants.changePlan('two', 'moved', { copyShare: 1 })
    expect([tenant.plan, move]).toMatchObject(['moved', { id: begun?.id, state: 'done' }])
    expect(await read('two')).toEqual([{ body: 'two' }])
    // The way there is over: the way to the earlier plan is another move.
    const back = await tenants.changePlan('two', 'only', quick)
    expect([back.tenant.plan, back.move?.state, back.move?.id === begun?.id]).toEqual(['only', 'done', false])
    expect(await tenants.placement('two')).toMatchObject({ strategy })
    expect(await read('two')).toEqual([{ body: 'two' }])
  })
})
