import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Lanes } from '../src/limiting/lanes.ts'
import { limits } from '../src/limits.ts'

const plan = { concurrent: 16, waiting: 64, requestsPerSecond: 100 }
const atOnce = limits.laneBeginningsAtOnce

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Asks many times for a tenant; `begun` has the numbers of those requests that have begun, `refused` the codes of the others. */
function ask(lanes: Lanes, tenantId: string, times: number, chosen = plan) {
  const begun: number[] = []
  const refused: unknown[] = []
  for (let n = 0; n < times; n += 1) {
    lanes.run(tenantId, chosen, async () => void begun.push(n)).catch((error) => refused.push(error.code))
  }
  return { begun, refused }
}

const settle = () => vi.advanceTimersByTimeAsync(0)

describe('a tenant that asks much', () => {
  it('begins all of it at once when nobody else is there', async () => {
    const { begun } = ask(new Lanes(), 'noisy', 60)
    await settle()
    expect(begun).toHaveLength(60)
  })

  it('begins evenly beside another one, in order, and the other one at once', async () => {
    const lanes = new Lanes()
    ask(lanes, 'quiet', 1)
    const noisy = ask(lanes, 'noisy', 40)
    await settle()
    expect(noisy.begun).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(100)
    expect(noisy.begun).toHaveLength(atOnce + 10)
    const quiet = ask(lanes, 'quiet', 2)
    await settle()
    expect(quiet.begun).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(limits.laneGapMs)
    expect(quiet.begun).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(400)
    expect(noisy.begun).toEqual(Array.from({ length: 40 }, (_, n) => n))
  })

  it('begins no further ones in a turn of the event loop, however long that lasts', async () => {
    vi.useRealTimers()
    const lanes = new Lanes()
    ask(lanes, 'quiet', 1)
    const begun: number[] = []
    const asked: Promise<void>[] = []
    const spend = async (forMs: number) => {
      const overMs = performance.now() + forMs
      // Only what waits for no timer gets in here.
      while (performance.now() < overMs) await Promise.resolve()
    }
    for (let n = 0; n < 6; n += 1) {
      asked.push(lanes.run('noisy', plan, async () => void begun.push(n)))
      if (n > 0) await spend(2 * limits.laneGapMs)
    }
    expect(begun).toEqual([0])
    await Promise.all(asked)
    expect(begun).toEqual([0, 1, 2, 3, 4, 5])
  })

  it.each([100, 500, 1_000])('gets the %s a second that its plan has', async (requestsPerSecond) => {
    const lanes = new Lanes()
    const asked: ReturnType<typeof ask>[] = []
    for (let ms = 0; ms < 2_000; ms += 10) {
      ask(lanes, 'quiet', 1)
      asked.push(ask(lanes, 'big', requestsPerSecond / 100, { ...plan, requestsPerSecond }))
      await vi.advanceTimersByTimeAsync(10)
    }
    await vi.advanceTimersByTimeAsync(20)
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0)
    expect(sum(asked.map(({ refused }) => refused.length))).toBe(0)
    expect(sum(asked.map(({ begun }) => begun.length))).toBe(2 * requestsPerSecond)
  })

  it('is refused what may not wait, and nothing else', async () => {
    const lanes = new Lanes()
    ask(lanes, 'quiet', 1)
    const noisy = ask(lanes, 'noisy', 100)
    const hurried = ask(lanes, 'hurried', 20, { ...plan, waiting: 0 })
    await settle()
    // As many as when nobody else is there.
    expect(noisy.refused).toEqual(Array.from({ length: 100 - 16 - 64 }, () => 'TENANT_BUSY'))
    expect(hurried).toMatchObject({ begun: { length: 16 }, refused: { length: 4 } })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(noisy.begun).toHaveLength(16 + 64)
  })

  it('has as many open at once as it may, and no more, while its work goes on', async () => {
    const lanes = new Lanes()
    ask(lanes, 'quiet', 1)
    const open = () => lanes.run('noisy', plan, () => new Promise<never>(() => undefined))
    const refused: unknown[] = []
    const burst = (times: number) => {
      for (let n = 0; n < times; n += 1) open().catch((error) => refused.push(error.code))
    }
    burst(16 + 64)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(refused).toEqual([])
    burst(1)
    await settle()
    expect(refused).toEqual(['TENANT_BUSY'])
  })

  it('goes on at full speed when the others have gone', async () => {
    const lanes = new Lanes()
    ask(lanes, 'quiet', 1)
    const slow = { ...plan, requestsPerSecond: 1, waiting: 200 }
    const before = ask(lanes, 'noisy', 200, slow)
    await vi.advanceTimersByTimeAsync(limits.laneKeptMs)
    const paced = atOnce + (limits.laneKeptMs / 1_000) * limits.laneBeginningsPerSecondMin
    expect([paced - 1, paced]).toContain(before.begun.length)
    const after = ask(lanes, 'noisy', 1, slow)
    await vi.advanceTimersByTimeAsync(1_000 / limits.laneBeginningsPerSecondMin)
    expect([before.begun.length, after.begun.length]).toEqual([200, 1])
  })

  it('leaves room for what others begin when its work fails', async () => {
    const lanes = new Lanes()
    const failing = () =>
      lanes.run('noisy', { ...plan, concurrent: 1 }, () => Promise.reject(new Error('no')))
    await expect(failing()).rejects.toThrow('no')
    await expect(failing()).rejects.toThrow('no')
  })
})
