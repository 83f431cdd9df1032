import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { MoverProcess } from '../../../test/support/mover-process.ts'
import type { MoveWatch, Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { createTurns } from '../src/moves/turns.ts'
import { Watch } from '../src/moves/watch.ts'
import {
  departAndStay,
  keepFromSwitch,
  leaseOf,
  leaveStreaming,
  untilFence,
  untilState,
} from './support/between-places.ts'
import { openEarlierVersion, openWorkshop } from './support/earlier-version.ts'
import { configOf, TestInstallation } from './support/installation.ts'

/** What a mover waits for in a state: it is killed there, not somewhere near. */
const cases: readonly [string, Strategy, Strategy, { in: 'pool' | 'catalog'; lock: string }][] = [
  ['copying', 'database', 'rls', { in: 'pool', lock: 'lock table quickscale.move_end in share mode' }],
  [
    'streaming',
    'rls',
    'schema',
    {
      in: 'pool',
      lock: "select pg_advisory_xact_lock_shared(hashtextextended('quickscale unscoped writers', 0))",
    },
  ],
  ['switched', 'schema', 'database', { in: 'catalog', lock: 'lock table catalog.placement in share mode' }],
]

const plans = {
  only: { strategy: 'rls' },
  schema: { strategy: 'schema' },
  database: { strategy: 'database' },
} as const

describe('a mover that is killed', () => {
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open('rls', { plans })
  })

  afterAll(async () => {
    await installation?.close()
  })

  test.each(cases)(
    'while its move is %s, from %s to %s: another one goes on, and nothing is lost',
    async (state, from, to, held) => {
      const { tenancy } = installation
      const key = `from-${from}`
      const { id: tenantId } = await tenancy.tenants.create({
        slug: key,
        name: key,
        plan: from === 'rls' ? 'only' : from,
      })
      await tenancy
        .tenant(key)
        .query("insert into note (id, body) select -n, 'first' from generate_series(1, 200) as n")
      const destination = { to, rollbackWindowMs: 0 }
      const lock = await lockIn(installation, held)
      const config = configOf(installation.name, installation.masterKey, 'rls', { plans })
      const mover = new MoverProcess({ config, key, destination })
      const writing = writeUntilStopped(installation, key)
      try {
        mover.order('start')
        await untilState(installation, tenantId, state, mover)
        await mover.kill()
        await lock.end()
        const { failed } = await tenancy.moves.resume({ copyShare: 1 })
        expect(failed).toEqual([])
      } finally {
        await lock.end()
        await mover.kill()
      }
      const { acknowledged, errors } = await writing.stop()
      expect(errors).toEqual([])
      const move = await tenancy.moves.get(key)
      expect(move.state).toBe('done')
      expect(await tenancy.tenants.placement(key)).toMatchObject({ strategy: to })
      const { rows } = await tenancy.tenant(key).query('select id from note where id > 0 order by id')
      expect(rows.map(({ id }) => id)).toEqual(acknowledged)
      const slots = await installation.inCatalog(
        'select slot_name from pg_replication_slots where starts_with(slot_name, $1)',
        [`quickscale_${move.id.replaceAll('-', '')}`],
      )
      expect(slots.rows).toEqual([])
      const ends = await installation.asOwner(
        key,
        'select role from quickscale.move_end where tenant_id = $1',
        [tenantId],
      )
      expect(ends.rows).toEqual([])
    },
  )

  test('before the new place opens: clients wait for it, however often they ask the catalog meanwhile', async () => {
    const { tenancy } = installation
    const { id: tenantId } = await tenancy.tenants.create({
      slug: 'closed',
      name: 'closed',
      plan: 'database',
    })
    const config = configOf(installation.name, installation.masterKey, 'rls', { plans })
    const mover = new MoverProcess({ config, key: 'closed', destination: { to: 'rls', rollbackWindowMs: 0 } })
    const writing = writeUntilStopped(installation, 'closed')
    mover.order('start')
    await untilState(installation, tenantId, 'streaming', mover)
    const lock = await lockIn(installation, {
      in: 'pool',
      lock: 'lock table quickscale.placement in share mode',
    })
    try {
      await untilFence(installation, tenantId, 'moved')
      await mover.kill()
      expect(await betweenPlaces()).toMatchObject([{ level: 'error', subject: tenantId }])
      // Longer than all attempts of a client, if each asked the catalog and was led back.
      await sleep(6 * limits.catalogRetryMs)
    } finally {
      await lock.end()
      await mover.kill()
    }
    const { failed } = await tenancy.moves.resume({ copyShare: 1 })
    expect(failed).toEqual([])
    expect(await betweenPlaces()).toEqual([])
    const { acknowledged, errors } = await writing.stop()
    expect(errors).toEqual([])
    const { rows } = await tenancy.tenant('closed').query('select id from note order by id')
    expect(rows.map(({ id }) => id)).toEqual(acknowledged)
  })

  test('of an earlier version, between two places: who watches goes on unasked, and robs nobody who works', async () => {
    const { tenancy, name, masterKey } = installation
    for (const slug of ['gone', 'alive']) {
      await tenancy.tenants.create({ slug, name: slug, plan: 'database' })
      await tenancy.tenant(slug).query("insert into note (id, body) values (1, 'kept')")
    }
    const config = configOf(name, masterKey, 'rls', { plans })
    const mover = new MoverProcess({ config, key: 'gone', destination: { to: 'rls', rollbackWindowMs: 0 } })
    const earlier = openEarlierVersion(installation)
    const { workshop, close } = openWorkshop(installation)
    const held = [await keepFromSwitch(installation, 'gone'), await keepFromSwitch(installation, 'alive')]
    const [goneInside, aliveInside] = held
    const watches: MoveWatch[] = []
    const untilDone = (slug: string) =>
      expect.poll(async () => (await tenancy.moves.get(slug)).state, { timeout: 20_000 }).toBe('done')
    const untilTaken = async (slug: string, lease: number) =>
      await expect.poll(() => leaseOf(installation, slug), { timeout: 20_000 }).toBeGreaterThan(lease)
    try {
      const working = earlier.work(await leaveStreaming(installation, 'alive'))
      mover.order('start')
      await departAndStay(installation, 'gone', { held, inside: goneInside, mover })
      await mover.kill()
      await installation.inCatalog('update catalog.move set locked_lease = null where finished_at is null')
      const [gone, alive] = [await leaseOf(installation, 'gone'), await leaseOf(installation, 'alive')]
      // As many moves as it works on at a time are under way: who is between two places does not wait for them.
      watches.push(new Watch(workshop, createTurns(0), { copyShare: 1 }))
      await untilTaken('gone', gone)
      await held.at(-1)?.end()
      await untilDone('gone')
      // It was looked at as often, and works.
      expect(await leaseOf(installation, 'alive')).toBe(alive)
      // Now it switches, and does not come further: so it is robbed, and nothing is lost by that.
      await departAndStay(installation, 'alive', { held, inside: aliveInside, mover })
      await untilTaken('alive', alive)
      await held.at(-1)?.end()
      expect(await working).toBe('MOVE_TAKEN_OVER')
      await untilDone('alive')
    } finally {
      for (const each of held) await each.end()
      for (const each of watches) await each.close()
      await mover.kill()
      await earlier.close()
      await close()
    }
    for (const slug of ['gone', 'alive']) {
      expect(await tenancy.tenants.placement(slug)).toMatchObject({ strategy: 'rls' })
      const { rows } = await tenancy.tenant(slug).query('select body from note')
      expect(rows).toEqual([{ body: 'kept' }])
    }
  })

  test('on the way back, between two places: who watches goes on, though it was stopped', async () => {
    const { tenancy, name, masterKey } = installation
    const { id: tenantId } = await tenancy.tenants.create({ slug: 'back', name: 'back', plan: 'database' })
    await tenancy.moves.start('back', { to: 'rls', rollbackWindowMs: 60_000, copyShare: 1 })
    await tenancy.tenant('back').query("insert into note (id, body) values (1, 'kept')")
    const config = configOf(name, masterKey, 'rls', { plans })
    const mover = new MoverProcess({ config, key: 'back', destination: {} })
    const watches: MoveWatch[] = []
    const held = [await keepFromSwitch(installation, 'back')]
    try {
      mover.order('rollback')
      const { source } = await tenancy.moves.get('back')
      const next = { in: source.database, state: 'returning' }
      await departAndStay(installation, 'back', { held, inside: held[0], mover, next })
      await mover.kill()
      await installation.inCatalog('update catalog.move set stopped_at = now() where tenant_id = $1', [
        tenantId,
      ])
      expect(await betweenPlaces()).toMatchObject([{ level: 'error', subject: tenantId }])
      const { moves } = await installation.another('rls', { plans })
      const lease = await leaseOf(installation, 'back')
      watches.push(moves.watch({ copyShare: 1 }))
      await expect.poll(() => leaseOf(installation, 'back'), { timeout: 20_000 }).toBeGreaterThan(lease)
      await held.at(-1)?.end()
      await expect
        .poll(async () => (await tenancy.moves.get('back')).state, { timeout: 20_000 })
        .toBe('returned')
    } finally {
      for (const each of held) await each.end()
      for (const each of watches) await each.close()
      await mover.kill()
    }
    expect(await tenancy.tenants.placement('back')).toMatchObject({ strategy: 'database' })
    const { rows } = await tenancy.tenant('back').query('select body from note')
    expect(rows).toEqual([{ body: 'kept' }])
  })

  test('whose memory is smaller than one transaction of the tenant applies it in parts', async () => {
    const { tenancy } = installation
    const { id: tenantId } = await tenancy.tenants.create({ slug: 'large', name: 'large', plan: 'only' })
    const destination = { to: 'schema', rollbackWindowMs: 0 } as const
    const lock = await lockIn(installation, {
      in: 'pool',
      lock: "select pg_advisory_xact_lock_shared(hashtextextended('quickscale unscoped writers', 0))",
    })
    const config = configOf(installation.name, installation.masterKey, 'rls', { plans })
    const mover = new MoverProcess({ config, key: 'large', destination, megabytesMax: 64 })
    try {
      mover.order('start')
      await untilState(installation, tenantId, 'streaming', mover)
      await tenancy.tenant('large').query(
        `insert into note (id, body)
         select n, repeat(md5(n::text), 100) from generate_series(1, 12000) as n`,
      )
      await lock.end()
      const answer = () => (mover.alive ? mover.answers.join() : 'killed')
      await expect.poll(answer, { timeout: 80_000, interval: 500 }).toBe('start done')
    } finally {
      await lock.end()
      await mover.kill()
    }
    const { rows } = await tenancy.tenant('large').query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 12_000 }])
  })

  const betweenPlaces = async () =>
    (await installation.tenancy.doctor()).findings.filter(({ check }) => check === 'move-between')

  test('while its new database is made: a cancellation leaves no database', async () => {
    const { tenancy } = installation
    const { id: tenantId } = await tenancy.tenants.create({
      slug: 'half-made',
      name: 'half-made',
      plan: 'only',
    })
    const config = configOf(installation.name, installation.masterKey, 'rls', { plans })
    // What CREATE DATABASE writes last, and DROP DATABASE of one that does not exist never.
    const lock = await lockIn(installation, { in: 'catalog', lock: 'lock table pg_shdepend in share mode' })
    const mover = new MoverProcess({ config, key: 'half-made', destination: { to: 'database' } })
    try {
      mover.order('start')
      await untilCreations(installation, tenantId, 1)
      await mover.kill()
      await tenancy.moves.cancel('half-made')
    } finally {
      await lock.end()
      await mover.kill()
    }
    await untilCreations(installation, tenantId, 0)
    const { state, target } = await tenancy.moves.get('half-made')
    expect(state).toBe('cancelled')
    const { rows } = await installation.inCatalog('select datname from pg_database where datname = $1', [
      target.database,
    ])
    expect(rows).toEqual([])
  })
})

/** Until so many statements that make the tenant's own database wait for a lock, or are under way at all when it is none. */
async function untilCreations(
  installation: TestInstallation,
  tenantId: string,
  count: number,
): Promise<void> {
  for (let found = -1; found !== count; ) {
    const { rows } = await installation.inCatalog(
      `select from pg_stat_activity where state = 'active' and starts_with(query, 'create database')
          and strpos(query, $1) > 0 and (wait_event_type = 'Lock' or $2 = 0)`,
      [tenantId.replaceAll('-', ''), count],
    )
    found = rows.length
  }
}

async function lockIn({ name }: TestInstallation, held: { in: string; lock: string }): Promise<pg.Client> {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${name}_${held.in}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query('begin')
  await client.query(held.lock)
  return client
}

function writeUntilStopped({ tenancy }: TestInstallation, key: string) {
  const [acknowledged, errors]: [number[], unknown[]] = [[], []]
  let stopped = false
  const write = async () => {
    for (let id = 1; !stopped && errors.length === 0; id += 1) {
      try {
        await tenancy
          .tenant(key)
          .query({ text: 'insert into note (id, body) values ($1, $2)', values: [id, `written ${id}`] })
        acknowledged.push(id)
      } catch (error) {
        errors.push(error)
      }
    }
  }
  const running = write()
  return {
    stop: async () => {
      stopped = true
      await running
      return { acknowledged, errors }
    },
  }
}
