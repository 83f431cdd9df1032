import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { limits } from '../src/limits.ts'
import { openThrottle, slowdownAfter } from '../src/moves/throttle.ts'

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
    await work(false)
    await work(false)
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
