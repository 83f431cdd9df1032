import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { limits } from '../src/limits.ts'
import { openThrottle, restingCondition, slowdownAfter } from '../src/moves/throttle.ts'

describe('the slowdown of a throttle', () => {
  const ms = fc.double({ min: 0, max: 10_000, noNaN: true })

  test('stays within its bounds, whatever small writes take', () => {
    fc.assert(
      fc.property(ms, fc.array(ms, { maxLength: 50 }), (usualMs, all) => {
        const end = all.reduce((slowdown, tookMs) => slowdownAfter(slowdown, { usualMs, tookMs }), 1)
        expect(end).toBeGreaterThanOrEqual(1)
        expect(end).toBeLessThanOrEqual(limits.throttleSlowdownMax)
      }),
    )
  })

  test('is gone soon after nobody waits any more', () => {
    let slowdown: number = limits.throttleSlowdownMax
    for (let probe = 0; probe < Math.log2(limits.throttleSlowdownMax); probe += 1) {
      slowdown = slowdownAfter(slowdown, { usualMs: 3, tookMs: 3 })
    }
    expect(slowdown).toBe(1)
  })
})

describe('a query that rests', () => {
  let [reader, onlooker]: pg.Client[] = []

  beforeAll(async () => {
    ;[reader, onlooker] = [0, 1].map(
      () => new pg.Client({ connectionString: inject('databaseUrl'), application_name: 'throttle test' }),
    )
    await Promise.all([reader?.connect(), onlooker?.connect()])
  })
  afterAll(() => Promise.all([reader?.end(), onlooker?.end()]))

  test('leaves no row out, whatever its share', async () => {
    for (const share of [0.1, 0.5, 0.9, 1]) {
      const answer = await reader?.query(
        `select count(*)::integer as count from generate_series(1, 2000) where ${restingCondition(share)}`,
      )
      expect(answer?.rows).toEqual([{ count: 2000 }])
    }
  })

  test('is seen to rest, unless it has all of the time', async () => {
    const isSeen = async (share: number) => {
      // That none of so many rows is followed by a rest happens once in 10^14.
      const rows = limits.restAfterRows * 33
      let over = false
      const reading = reader?.query(
        `select count(pg_backend_pid()) from generate_series(1, ${rows}) where ${restingCondition(share)}`,
      )
      reading?.finally(() => {
        over = true
      })
      let seen = false
      while (!over && !seen) {
        const answer = await onlooker?.query(
          "select from pg_stat_activity where wait_event = 'PgSleep' and application_name = 'throttle test'",
        )
        seen = answer?.rowCount === 1
      }
      await reading
      return seen
    }
    expect(await isSeen(0.02)).toBe(true)
    expect(await isSeen(1)).toBe(false)
  })
})

describe('a throttle', () => {
  let client: pg.Client

  beforeAll(async () => {
    client = new pg.Client({ connectionString: inject('databaseUrl') })
    await client.connect()
  })
  afterAll(() => client.end())

  test('rests longer while a small write on the watched server takes long, and less again afterwards', async () => {
    const throttle = await openThrottle(1, [client])
    const work = async (occupied: boolean) => {
      await sleep(limits.throttleProbeMs * 1.5)
      const busy = occupied ? client.query('select pg_sleep(0.2)') : null
      await throttle.pass()
      await busy
    }
    await work(true)
    await work(true)
    expect(throttle.slowdown).toBe(4)
    // Others who use the machine may make small writes slow too, now and then.
    for (let works = 0; works < 50 && throttle.slowdown > 1; works += 1) await work(false)
    expect(throttle.slowdown).toBe(1)
  })

  test('that watches a connection which is gone says so', async () => {
    const lost = new pg.Client({ connectionString: inject('databaseUrl') })
    lost.on('error', () => undefined)
    await lost.connect()
    const throttle = await openThrottle(0.5, [lost])
    await lost.end()
    await sleep(limits.throttleProbeMs * 1.5)
    await expect(throttle.pass()).rejects.toThrow('Client was closed and is not queryable')
  })
})
