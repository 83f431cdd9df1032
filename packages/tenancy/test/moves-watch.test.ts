import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MoverProcess } from '../../../test/support/mover-process.ts'
import type { Move, MoveWatch, Strategy, WatchOptions } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { configOf, TestInstallation } from './support/installation.ts'

const plans = {
  only: { strategy: 'rls' },
  rls: { strategy: 'rls' },
  schema: { strategy: 'schema' },
  database: { strategy: 'database' },
} as const

/** A cutover waits for it, and everything else goes on. */
const unscopedWriters =
  "select pg_advisory_xact_lock_shared(hashtextextended('quickscale unscoped writers', 0))"

const quick = { copyShare: 1, rollbackWindowMs: 0 }

/** What a mover waits for in a state: it is killed there, not somewhere near. */
const cases: readonly [string, Strategy, Strategy, string, string][] = [
  ['copying', 'database', 'rls', 'pool', 'lock table quickscale.move_end in share mode'],
  ['switched', 'schema', 'database', 'catalog', 'lock table catalog.placement in share mode'],
]

describe('processes that watch moves', () => {
  let installation: TestInstallation
  const started: MoverProcess[] = []
  const held: pg.Client[] = []
  const watches: MoveWatch[] = []
  const warnings: unknown[] = []
  const warned = (warning: unknown) => warnings.push(warning)

  beforeAll(async () => {
    installation = await TestInstallation.open('rls', { plans })
    process.on('warning', warned)
  })

  afterAll(async () => {
    process.off('warning', warned)
    await installation?.close()
  })

  afterEach(async () => {
    // What is held up would hold up whoever watches it.
    for (const each of held.splice(0)) await each.end()
    for (const each of watches.splice(0)) await each.close()
    warnings.length = 0
    for (const each of started.splice(0)) await each.kill()
  })

  /** As another process would, with connections of its own. */
  async function watch(options: WatchOptions = {}): Promise<Move[]> {
    const resumed: Move[] = []
    const { moves } = await installation.another('rls', { plans })
    watches.push(moves.watch({ copyShare: 1, onResumed: (move) => resumed.push(move), ...options }))
    return resumed
  }

  function startProcess(key: string, destination: { to?: Strategy; rollbackWindowMs?: number }) {
    const config = configOf(installation.name, installation.masterKey, 'rls', { plans })
    const process = new MoverProcess({ config, key, destination })
    started.push(process)
    return process
  }

  async function createTenants(slugs: readonly string[], plan: Strategy): Promise<void> {
    const { tenancy } = installation
    for (const slug of slugs) {
      await tenancy.tenants.create({ slug, name: slug, plan })
      await tenancy.tenant(slug).query("insert into note (id, body) values (1, 'kept')")
    }
  }

  async function lockIn(database: string, lock: string): Promise<pg.Client> {
    const client = await installation.connectTo(database)
    held.push(client)
    await client.query(`begin; ${lock}`)
    return client
  }

  const pool = () => `${installation.name}_pool`
  const moveOf = (key: string): Promise<Move> => installation.tenancy.moves.get(key)
  const untilAttempted = (key: string, attempts: number) =>
    expect.poll(async () => (await moveOf(key)).attempts).toBe(attempts)
  const untilOver = (key: string, state: string) =>
    expect.poll(async () => (await moveOf(key)).state).toBe(state)

  async function change(key: string, values: string): Promise<void> {
    await installation.inCatalog(`update catalog.move set ${values} where tenant_id = $1`, [
      (await moveOf(key)).tenantId,
    ])
  }

  /** Sessions that say that somebody works on a move. */
  async function lockHolders(what: string, values: unknown[] = []) {
    const { rows } = await installation.inCatalog(
      `select pid, ${what} from pg_locks join pg_stat_activity using (pid)
        where application_name = 'quickscale movers' and datname = $1 and locktype = 'advisory'`,
      [`${installation.name}_catalog`, ...values],
    )
    return rows
  }

  /** What would end the process, or the watch, if it were part of the work. */
  const failingCallbacks: WatchOptions = {
    onResumed: async () => {
      throw new Error('told in vain')
    },
    onFailed() {
      throw new Error('told in vain')
    },
  }
  const untilWarned = () =>
    expect
      .poll(() => warnings)
      .toContainEqual(
        expect.objectContaining({
          code: 'QUICKSCALE_CALLBACK_FAILED',
          detail: expect.stringContaining('told in vain'),
        }),
      )

  async function leaseOf(key: string): Promise<number> {
    const { id } = await moveOf(key)
    return (await installation.inCatalog('select lease from catalog.move where id = $1', [id])).rows[0].lease
  }

  async function untilState(key: string, state: string): Promise<void> {
    const { id } = await installation.tenancy.tenants.get(key)
    const look = async () => {
      const { rows } = await installation.inCatalog(
        'select state, source_database from catalog.move where tenant_id = $1',
        [id],
      )
      if (state !== 'switched' || rows[0] === undefined) return rows[0]?.state
      // The source knows first that its tenant has been switched.
      const ends = await installation.inDatabase(
        rows[0].source_database,
        "select from quickscale.move_end where tenant_id = $1 and role = 'source' and state in ('switched', 'active')",
        [id],
      )
      return ends.rowCount === 1 ? state : rows[0].state
    }
    await expect.poll(look, { interval: 5 }).toBe(state)
  }

  /** What the doctor says of moves that do not go on, by tenant. */
  async function leftMoves(): Promise<Record<string, string>> {
    const { findings } = await installation.tenancy.doctor()
    const left = findings.filter(({ check }) => check === 'move-left')
    expect(left.filter(({ level }) => level !== 'warning')).toEqual([])
    const named = left.map(async ({ subject, message }) => {
      const { slug } = await installation.tenancy.tenants.get(subject)
      return [slug, message.replaceAll(/\d{4}-\S+Z/g, 'THEN')] as const
    })
    return Object.fromEntries(await Promise.all(named))
  }

  /** Has moves begin, and ends their work before the switch. */
  async function leave(
    moves: readonly { readonly key: string; readonly to: Strategy; readonly handOver: boolean }[],
  ): Promise<void> {
    const locks = new Map<string, pg.Client>()
    for (const { key } of moves) {
      const { databaseName } = await installation.tenancy.tenants.placement(key)
      if (!locks.has(databaseName)) locks.set(databaseName, await lockIn(databaseName, unscopedWriters))
    }
    const stop = new AbortController()
    const ended = Promise.allSettled(
      moves.map(({ key, ...options }) =>
        installation.tenancy.moves.start(key, { ...options, ...quick, signal: stop.signal }),
      ),
    )
    for (const { key } of moves) await untilState(key, 'streaming')
    stop.abort()
    expect((await ended).map(({ status }) => status)).toEqual(moves.map(() => 'rejected'))
    for (const lock of locks.values()) await lock.end()
  }

  test.each(cases)(
    'go on with a move whose process is killed while it is %s, from %s to %s',
    async (state, from, to, database, text) => {
      const key = `killed-while-${state}`
      await createTenants([key], from)
      const lock = await lockIn(`${installation.name}_${database}`, text)
      const mover = startProcess(key, { to, rollbackWindowMs: 0 })
      mover.order('start')
      await untilState(key, state)
      const resumed = await watch()
      expect(await moveOf(key)).toMatchObject({ attempts: 0 })
      const lease = await leaseOf(key)
      await mover.kill()
      await expect.poll(() => leaseOf(key)).toBeGreaterThan(lease)
      await lock.end()
      await untilOver(key, 'done')
      expect(await moveOf(key)).toMatchObject({ stoppedAt: null, retryAt: null, failure: null })
      expect(await installation.tenancy.tenants.placement(key)).toMatchObject({ strategy: to })
      const { rows } = await installation.tenancy.tenant(key).query('select body from note')
      expect(rows).toEqual([{ body: 'kept' }])
      await expect.poll(() => resumed).toMatchObject([{ state: 'done' }])
    },
  )

  test('go on with a move one after the other, when each of them is killed while it is streaming, from rls to schema', async () => {
    await createTenants(['passed-on'], 'rls')
    await leave([{ key: 'passed-on', to: 'schema', handOver: true }])
    const lock = await lockIn(pool(), unscopedWriters)
    const first = startProcess('', {})
    first.order('watch')
    await untilAttempted('passed-on', 1)
    await watch()
    await first.kill()
    await change('passed-on', 'retry_at = null')
    await untilAttempted('passed-on', 2)
    await lock.end()
    await untilOver('passed-on', 'done')
  })

  test('leave alone what a living process works on, or one of an earlier version, and what somebody has stopped', async () => {
    const { moves } = installation.tenancy
    await createTenants(['working', 'stopped', 'earlier', 'left', 'left-later'], 'rls')
    await leave([
      { key: 'stopped', to: 'schema', handOver: false },
      { key: 'earlier', to: 'schema', handOver: true },
      { key: 'left', to: 'schema', handOver: true },
      { key: 'left-later', to: 'schema', handOver: false },
    ])
    // Has taken it over, as a version does that holds no lock meanwhile.
    await change('earlier', 'lease = lease + 1')
    const lock = await lockIn(pool(), unscopedWriters)
    const working = moves.start('working', { to: 'schema', ...quick })
    await untilState('working', 'streaming')
    // Who lives on says so anew when the connection that says so is lost.
    const [lost] = await lockHolders('pg_terminate_backend(pid) as ended')
    expect(lost).toMatchObject({ ended: true })
    await expect
      .poll(() => lockHolders('pid <> $2 as another', [lost.pid]))
      .toMatchObject([{ another: true }])
    const left = await leftMoves()
    expect(Object.keys(left).sort()).toEqual(['earlier', 'left', 'left-later', 'stopped'])
    expect(left.stopped).toMatch(/^The move of .* by itself: streaming, begun THEN; stopped THEN$/)
    expect(left.left).toMatch(/; left by its process, and nobody who watches takes it up$/)
    expect(left.earlier).toMatch(/; last with a process of an earlier version, which may live$/)
    await watch()
    await untilAttempted('left', 1)
    expect(Object.keys(await leftMoves()).sort()).toEqual(['earlier', 'left-later', 'stopped'])
    // All of them have been looked at once more when this one is taken up.
    await change('left-later', 'stopped_at = null')
    await untilAttempted('left-later', 1)
    expect(await moveOf('working')).toMatchObject({ attempts: 0, stoppedAt: null })
    await lock.end()
    expect(await working).toMatchObject({ state: 'done', attempts: 0 })
    for (const key of ['left', 'left-later']) await untilOver(key, 'done')
    expect(await moveOf('stopped')).toMatchObject({
      state: 'streaming',
      attempts: 0,
      stoppedAt: expect.any(Date),
    })
    expect(await moveOf('earlier')).toMatchObject({ state: 'streaming', attempts: 0, stoppedAt: null })
    const { moves: resumed } = await moves.resume({ copyShare: 1 })
    expect(resumed.map(({ state, stoppedAt }) => [state, stoppedAt])).toEqual([
      ['done', null],
      ['done', null],
    ])
  })

  test('finish a cancellation, and close a way back that is over, for those who are gone', async () => {
    await leave([{ key: 'one', to: 'schema', handOver: true }])
    await change('one', "request = 'cancel'")
    await watch()
    await untilOver('one', 'cancelled')
    const open = await installation.tenancy.moves.start('two', {
      to: 'schema',
      ...quick,
      rollbackWindowMs: 60_000,
    })
    expect(open.state).toBe('active')
    await change('two', 'window_ms = 1')
    await untilOver('two', 'done')
  })

  test('go on when whoever is told of it fails', async () => {
    await createTenants(['untold'], 'rls')
    await leave([{ key: 'untold', to: 'schema', handOver: true }])
    await change('untold', "request = 'cancel'")
    await installation.inCatalog('alter table catalog.move rename to away')
    await watch(failingCallbacks)
    await untilWarned()
    warnings.length = 0
    await installation.inCatalog('alter table catalog.away rename to move')
    await untilOver('untold', 'cancelled')
    await untilWarned()
    expect(await moveOf('untold')).toMatchObject({ state: 'cancelled', failure: null })
  })

  test('try one that fails again, later each time, and not for ever', async () => {
    const { moves, tenants } = installation.tenancy
    await createTenants(['failing'], 'database')
    await createTenants(['witness'], 'rls')
    const { databaseName } = await tenants.placement('failing')
    await leave([
      { key: 'failing', to: 'rls', handOver: false },
      { key: 'witness', to: 'schema', handOver: false },
    ])
    const allowConnections = (allowed: boolean) =>
      installation.inCatalog(`alter database ${databaseName} allow_connections ${allowed}`)
    await allowConnections(false)
    await change('failing', 'stopped_at = null, attempts = 3')
    await watch(failingCallbacks)
    await untilAttempted('failing', 4)
    await expect
      .poll(async () => (await moveOf('failing')).failure)
      .toMatch(/not currently accepting connections/)
    const delayMs = ((await moveOf('failing')).retryAt?.getTime() ?? 0) - Date.now()
    expect(delayMs).toBeGreaterThan(4 * limits.moveRetryMs)
    // The last one.
    await change('failing', `attempts = ${limits.moveAttemptsMax - 1}, failure = null, retry_at = null`)
    await untilAttempted('failing', limits.moveAttemptsMax)
    await expect.poll(async () => (await moveOf('failing')).failure).not.toBeNull()
    expect((await leftMoves()).failing).toMatch(
      /; tried 8 times, last THEN; last failure: .*not currently accepting connections/,
    )
    await allowConnections(true)
    await change('failing', 'retry_at = null')
    await change('witness', 'stopped_at = null')
    await untilOver('witness', 'done')
    expect(await moveOf('failing')).toMatchObject({
      state: 'streaming',
      attempts: limits.moveAttemptsMax,
      attemptsLeft: 0,
    })
    expect((await moves.resume({ copyShare: 1 })).moves).toMatchObject([
      { state: 'done', attempts: 0, failure: null },
    ])
    expect(await leftMoves()).toEqual({})
  })
})
