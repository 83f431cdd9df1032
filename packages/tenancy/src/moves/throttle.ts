import { setTimeout as sleep } from 'node:timers/promises'

/** Slows a copy, or a removal, down, so that those who work beside it notice little of it. */
export interface Throttle {
  /** To be called between pieces of work; settles when the next one may begin. */
  pass(): Promise<void>
}

/**
 * A copy that may use a part of the time: after each stretch of work it rests in proportion.
 *
 * @param share 0 to 1: part of the time that is used; 1 never rests
 */
export function createThrottle(share: number): Throttle {
  let workedSince = performance.now()
  return {
    pass: async () => {
      const workedMs = performance.now() - workedSince
      if (share >= 1 || workedMs < stretchMs) return
      await sleep((workedMs * (1 - share)) / share)
      workedSince = performance.now()
    },
  }
}

/** Short enough that nobody beside the copy waits long for his turn. */
const stretchMs = 10
