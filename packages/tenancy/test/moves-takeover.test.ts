import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Move } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

const directory = (name: string) => fileURLToPath(new URL(`./support/${name}`, import.meta.url))

const config = {
  plans: { only: { strategy: 'rls' } },
  migrations: [directory('migrations'), directory('slow-schema')],
} as const

describe('a mover that lives on and has lost its move', () => {
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open('rls', config)
  })

  afterAll(async () => {
    await installation?.close()
  })

  /** Until a statement that begins like this waits for a lock. */
  const untilWaiting = (query: string) =>
    expect
      .poll(
        async () =>
          (
            await installation.inCatalog(
              `select from pg_stat_activity where wait_event_type = 'Lock' and starts_with(query, $1)
                  and starts_with(datname, $2)`,
              [query, installation.name],
            )
          ).rowCount,
        { timeout: 10_000 },
      )
      .toBeGreaterThan(0)

  /** All that a move makes, at both ends. */
  async function leftOf({ id, target, tenantId }: Move): Promise<unknown[]> {
    const stream = `quickscale_${id.replaceAll('-', '')}%`
    const pool = await installation.inDatabase(
      `${installation.name}_pool`,
      `select 'end' as kind, role as name from quickscale.move_end where tenant_id = $1
       union all select 'fence', state from quickscale.placement where tenant_id = $1 and state <> 'active'
       union all select 'publication', pubname from pg_publication where pubname like $2
       union all select 'slot', slot_name from pg_replication_slots where slot_name like $2
       union all select 'schema', nspname from pg_namespace where nspname = $3 and $3 <> 'app'
       union all select 'database', datname from pg_database where datname = $4 and $4 <> current_database()
       union all select 'role', rolname from pg_roles where rolname = $4 and $4 <> current_database()`,
      [tenantId, stream, target.schema, target.database],
    )
    return pool.rows
  }

  test.each(['schema', 'database'] as const)('makes nothing of its target any more: %s', async (to) => {
    const { moves } = installation.tenancy
    const mover = await installation.another('rls', config)
    const held = await installation.connectTo(`${installation.name}_${to === 'schema' ? 'pool' : 'template'}`)
    // A template that somebody is connected to cannot be cloned: that is tried again and again.
    await held.query('select pg_advisory_lock(4711)')
    const moving = mover.moves.start('one', { to }).catch((error: { code: string }) => error.code)
    await untilMaking(to)
    const cancelled = await moves.cancel('one')
    expect(cancelled.state).toBe('cancelled')
    await held.end()
    expect(await moving).toBe('MOVE_CANCELLED')
    expect(await leftOf(cancelled)).toEqual([])
  })

  async function untilMaking(to: 'schema' | 'database'): Promise<void> {
    if (to === 'schema') return await untilWaiting('-- Whoever holds')
    const refusals = () =>
      installation.inCatalog(
        "select from pg_stat_activity where starts_with(query, 'create database') and strpos(query, $1) > 0",
        [`${installation.name}_template`],
      )
    await expect.poll(async () => (await refusals()).rowCount, { timeout: 10_000 }).toBeGreaterThan(0)
  }

  test('goes on when only the connection that locks the tenant is ended', async () => {
    const { moves, tenant } = installation.tenancy
    // Of the session, not of a transaction: nobody seems to be inside for long, and the lock is asked for again and again.
    const held = await installation.connectTo(`${installation.name}_pool`)
    await held.query("select pg_advisory_lock_shared(hashtextextended('quickscale unscoped writers', 0))")
    const moving = moves.start('one', { to: 'schema', rollbackWindowMs: 0 })
    const connections = async (purpose: string, what: string) => {
      const query = `select ${what} as pid from pg_stat_activity
         where application_name like 'move % ' || $1 and starts_with(datname, $2)`
      return (await installation.inCatalog(query, [purpose, installation.name])).rows
    }
    const ended = () =>
      connections('lock', "case when wait_event_type = 'Lock' then pg_terminate_backend(pid) end")
    await expect.poll(ended, { timeout: 20_000, interval: 10 }).toEqual([{ pid: true }])
    const [stream] = await connections('stream', 'pid')
    await expect.poll(() => connections('lock', 'pid'), { timeout: 10_000 }).toHaveLength(1)
    expect([await connections('stream', 'pid'), stream]).toEqual([[stream], { pid: expect.any(Number) }])
    await held.end()
    expect((await moving).state).toBe('done')
    expect((await tenant('one').query('select body from note')).rows).toEqual([])
  })

  test('keeps keys from being replaced only while its target is made, which then has the new one', async () => {
    const { moves, keys, tenant } = installation.tenancy
    await tenant('two').query("insert into note (id, body) values (1, 'kept')")
    const held: pg.Client = await installation.connectTo('postgres')
    await held.query('begin; lock table pg_authid in share mode')
    const moving = moves.start('two', { to: 'database', rollbackWindowMs: 0 })
    await untilWaiting('create role')
    const rotating = keys.rotate({ graceSeconds: 0 })
    await Promise.race([rotating, untilWaiting('\n  select pg_advisory_lock(hashtextextended($1, 0))')])
    await held.end()
    await rotating
    expect((await moving).state).toBe('done')
    const { rows } = await tenant('two').query('select body from note')
    expect(rows).toEqual([{ body: 'kept' }])
    const known = await installation.asOwner('two', 'select id from quickscale.token_key')
    expect(known.rows).toEqual([{ id: 'k2' }])
  })
})
