import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { MoverLocks } from '../src/catalog/mover-locks.ts'

describe('locks of processes that move tenants', () => {
  let administrator: pg.Client
  const processes: MoverLocks[] = []

  beforeAll(async () => {
    administrator = await connect()
  })

  afterAll(async () => {
    await administrator?.end()
  })

  afterEach(async () => {
    for (const each of processes.splice(0)) await each.close()
  })

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: inject('databaseUrl') })
    await client.connect()
    return client
  }

  /** Sessions that say that somebody works on a move, or want to. */
  async function lockHolders(what: string) {
    const { rows } = await administrator.query(
      `select ${what} from pg_locks join pg_stat_activity using (pid)
        where application_name = 'quickscale movers' and datname = current_database() and locktype = 'advisory'`,
    )
    return rows
  }

  /** The locks of another process. */
  function locksOfProcess(): MoverLocks {
    const locks = new MoverLocks(inject('databaseUrl'), (query) => query)
    processes.push(locks)
    return locks
  }

  /** Ended by its `end`, which is the work's. */
  function workOn(locks: MoverLocks, id: string) {
    const gate = Promise.withResolvers<void>()
    const work = { isGoingOn: false, end: gate.resolve, ended: Promise.resolve() }
    work.ended = locks.holding(id, async () => {
      work.isGoingOn = true
      await gate.promise
    })
    return work
  }

  const isFree = async (id: string) => {
    const leave = await locksOfProcess().takeIfFree(id)
    await leave?.()
    return leave !== null
  }
  const untilWaiting = () =>
    expect.poll(() => lockHolders('granted')).toContainEqual(expect.objectContaining({ granted: false }))
  const endSession = () => lockHolders('pg_terminate_backend(pid)')
  const exclusive = "select pg_advisory_lock(hashtextextended('mover ' || $1, 0))"

  test.each(['works', 'asks'])(
    'work on nothing without a lock, when another piece of their own work %s first',
    async (how) => {
      const id = `joined-${how}`
      const blocker = await connect()
      await blocker.query(exclusive, [id])
      const locks = locksOfProcess()
      const first = how === 'works' ? locks.holding(id, async () => 'worked') : locks.takeIfFree(id)
      const outcome = Promise.allSettled([first])
      const second = workOn(locks, id)
      await untilWaiting()
      expect(second.isGoingOn).toBe(false)
      if (how === 'works') await endSession()
      expect(await outcome).toMatchObject([
        how === 'works' ? { status: 'rejected' } : { status: 'fulfilled', value: null },
      ])
      await untilWaiting()
      expect(second.isGoingOn).toBe(false)
      await blocker.end()
      await expect.poll(() => second.isGoingOn).toBe(true)
      expect(await isFree(id)).toBe(false)
      second.end()
      await second.ended
      expect(await isFree(id)).toBe(true)
    },
  )

  test('keep no lock of what they have left while they took it anew', async () => {
    const blocker = await connect()
    const locks = locksOfProcess()
    const work = workOn(locks, 'left-meanwhile')
    const other = workOn(locks, 'kept')
    await expect.poll(() => work.isGoingOn && other.isGoingOn).toBe(true)
    const blocked = blocker.query(exclusive, ['left-meanwhile'])
    const isBlocked = "select from pg_stat_activity where wait_event_type = 'Lock' and query = $1"
    await expect.poll(async () => (await administrator.query(isBlocked, [exclusive])).rowCount).toBe(1)
    await endSession()
    await blocked
    await untilWaiting()
    work.end()
    await work.ended
    await blocker.end()
    await expect.poll(() => isFree('left-meanwhile')).toBe(true)
    await expect.poll(() => isFree('kept')).toBe(false)
    other.end()
    await other.ended
    expect(await isFree('kept')).toBe(true)
  })

  test('hold no process up that does nothing else, and let it close', async () => {
    const module = new URL('../src/catalog/mover-locks.ts', import.meta.url).href
    const text = `
      const { MoverLocks } = await import(${JSON.stringify(module)})
      const locks = new MoverLocks(process.env.CATALOG, (query) => query)
      await locks.holding('worked on', async () => undefined)
      if (process.argv[1] === 'close') await locks.close()
      console.log('well')`
    const env = { ...process.env, CATALOG: inject('databaseUrl') }
    for (const end of ['close', 'leave']) {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '-e', text, end],
        { env },
      )
      expect(stdout).toBe('well\n')
    }
  })
})
