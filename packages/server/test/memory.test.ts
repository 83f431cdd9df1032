import { afterEach, describe, expect, it, vi } from 'vitest'
import { limits } from '../src/limits.ts'
import { Memory } from '../src/memory.ts'

type Found = { readonly found: string }
const open = () => new Memory<Found>({ max: 10, ttl: 60_000 })

afterEach(() => void vi.useRealTimers())

describe('what is remembered', () => {
  it('is read once for all who ask at the same time, and then not at all', async () => {
    const memory = open()
    const reading = Promise.withResolvers<Found>()
    let reads = 0
    const read = () => {
      reads += 1
      return reading.promise
    }
    const asked = ['one', 'one', 'other'].map((key) => memory.find(key, read))
    reading.resolve({ found: 'it' })
    expect(await Promise.all(asked)).toEqual([{ found: 'it' }, { found: 'it' }, { found: 'it' }])
    await memory.find('one', read)
    expect(reads).toBe(2)
  })

  it.each(['forgotten', 'cleared'])('is from after it was %s, whatever was being read then', async (how) => {
    const memory = open()
    const slow = Promise.withResolvers<Found>()
    const before = memory.find('one', () => slow.promise)
    if (how === 'forgotten') memory.forget('one')
    else memory.clear()
    const after = memory.find('one', async () => ({ found: 'after' }))
    expect(await after).toEqual({ found: 'after' })
    slow.resolve({ found: 'before' })
    expect(await before).toEqual({ found: 'before' })
    expect(await memory.find('one', () => slow.promise)).toEqual({ found: 'after' })
  })

  it('is not waited for, by those who ask later, from somebody who gets no answer', async () => {
    vi.useFakeTimers()
    const memory = open()
    const silent = memory.find('one', () => new Promise<Found>(() => undefined))
    expect(memory.find('one', async () => ({ found: 'never' }))).toBe(silent)
    vi.advanceTimersByTime(limits.readingJoinedMs)
    expect(await memory.find('one', async () => ({ found: 'it' }))).toEqual({ found: 'it' })
  })

  it('is not that there is nothing, nor a failure', async () => {
    const memory = open()
    expect(await memory.find('one', async () => null)).toBeNull()
    const failing = () => Promise.reject(new Error('away'))
    await expect(Promise.all([memory.find('one', failing), memory.find('one', failing)])).rejects.toThrow(
      'away',
    )
    expect(await memory.find('one', async () => ({ found: 'it' }))).toEqual({ found: 'it' })
  })
})
