import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { limits } from '../limits.ts'

/** Slows a copy, or a removal, down, so that those who work beside it notice little of it. */
export interface Throttle {
  /** By how much more than its share asks for it rests, because others have to wait; 1 when they do not. */
  readonly slowdown: number
  /** To be called between pieces of work; settles when the next one may begin. */
  pass(): Promise<void>
}

/**
 * After each stretch of work it rests in proportion, and longer when small writes take longer than before the work began: what
 * the clients of a server wait for cannot be seen from here, but the same can be waited for.
 *
 * @param share 0 to 1: part of the time that is used; 1 rests only while others have to wait
 * @param watched a connection to each server that works; idle between pieces of work
 */
export async function openThrottle(share: number, watched: readonly pg.ClientBase[]): Promise<Throttle> {
  const usualMs = await measureUsual(watched)
  let [slowdown, workedSince, probedAt] = [1, performance.now(), performance.now()]
  return {
    get slowdown() {
      return slowdown
    },
    pass: async () => {
      const workedMs = performance.now() - workedSince
      if (workedMs < limits.throttleStretchMs) return
      if (performance.now() - probedAt > limits.throttleProbeMs) {
        slowdown = slowdownAfter(slowdown, { usualMs, tookMs: await probe(watched) })
        probedAt = performance.now()
      }
      // Without a share to keep, the rest begins with the slowdown.
      await sleep(workedMs * (slowdown / share - 1))
      workedSince = performance.now()
    },
  }
}

/**
 * A condition that is always true, for a query that reads all rows of a tenant: its server rests after every few of them, by
 * chance, so that nobody there waits for a processor for longer. Rows are taken to cost about alike.
 *
 * @param share 0 to 1: part of the time that is used
 */
export function restingCondition(share: number): string {
  if (share >= 1) return 'true'
  const seconds = (limits.restAfterMs / 1000) * (1 / share - 1)
  return `(random() * ${limits.restAfterRows} >= 1 or pg_sleep(${seconds}) is not null)`
}

/** Doubled while a small write takes much longer than usual, and taken back step by step. */
export function slowdownAfter(
  slowdown: number,
  { usualMs, tookMs }: { readonly usualMs: number; readonly tookMs: number },
): number {
  const isSlow = tookMs > 2 * usualMs && tookMs > usualMs + limits.throttleSlackMs
  return isSlow ? Math.min(slowdown * 2, limits.throttleSlowdownMax) : Math.max(slowdown / 2, 1)
}

async function measureUsual(watched: readonly pg.ClientBase[]): Promise<number> {
  const tookMs: number[] = []
  for (let count = 0; count < limits.throttleProbes; count += 1) tookMs.push(await probe(watched))
  return tookMs.sort((a, b) => a - b)[Math.floor(tookMs.length / 2)] ?? 0
}

/** @returns milliseconds that a small write takes where it takes longest */
async function probe(watched: readonly pg.ClientBase[]): Promise<number> {
  const took = watched.map(async (client) => {
    const startedAt = performance.now()
    // Written to the log and waited for like a row of anybody, and of no meaning to anybody who reads the log.
    await client.query("select pg_logical_emit_message(true, 'quickscale probe', '')")
    return performance.now() - startedAt
  })
  return Math.max(...(await Promise.all(took)))
}
