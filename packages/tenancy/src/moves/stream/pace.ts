import { setTimeout as sleep } from 'node:timers/promises'
import { limits } from '../../limits.ts'

/** What has been caught up with, and what it took. */
export interface CaughtUp {
  /** Of the last piece. */
  readonly workedMs: number
  /** Since the first piece. */
  readonly elapsedMs: number
  /** Between the first and the last commit that was applied, by the clock of the server they were made on. */
  readonly spanMs: number
}

/**
 * How long to rest after a piece: as the share asks for, but never so long that a tenant is not caught up with. What it wrote in four
 * seconds is applied within one, or without any rest.
 *
 * @param share 0 to 1: part of the time that is used
 * @returns milliseconds
 */
export function restAfter(share: number, { workedMs, elapsedMs, spanMs }: CaughtUp): number {
  const credit = limits.catchUpGraceMs + spanMs / limits.catchUpSpeed - elapsedMs
  return Math.max(0, Math.min(workedMs * (1 / share - 1), credit, limits.catchUpRestMs))
}

/** How far it is, in milliseconds. */
export interface Behind {
  /** How old the last commit is that was applied. */
  readonly lagMs: number
  readonly msLeft: number
}

/** Lets a follower catch up with what was written during a copy in small pieces, and rest between them. */
export class Pace {
  readonly #share: number
  #startedAt: number | null = null
  #firstCommitAtMs: number | null = null
  #spanMs = 0
  #isLate: boolean

  /** @param share 0 to 1: part of the time that is used; there are no rests, and no small pieces, with all of it */
  constructor(share: number) {
    this.#share = share
    this.#isLate = share === 1
  }

  /**
   * @param nowMs by the clock of the server that the commits were made on
   * @param untilMs by the same: what was committed until then is caught up with
   * @returns null before a commit has been applied, and as long as one has not to be estimated by
   */
  behind(nowMs: number, untilMs: number): Behind | null {
    if (this.#startedAt === null || this.#firstCommitAtMs === null || this.#spanMs <= 0) return null
    const lastMs = this.#firstCommitAtMs + this.#spanMs
    const tookMs = performance.now() - this.#startedAt
    const msLeft = (Math.max(0, untilMs - lastMs) / this.#spanMs) * tookMs
    return { lagMs: Math.max(0, nowMs - lastMs), msLeft }
  }

  /** Changes of a piece. Small ones cost more in all: whoever is late has no use for them. */
  get batchMax(): number {
    return this.#isLate ? limits.applyBatchMax : limits.catchUpBatchMax
  }

  /**
   * To be called after each piece.
   *
   * @param startedAt when it was begun, by performance.now()
   * @param committedAtMs when the last of its transactions was committed; null while that one is to come
   */
  async rest(startedAt: number, committedAtMs: number | null): Promise<void> {
    const now = performance.now()
    this.#startedAt ??= startedAt
    if (committedAtMs !== null) {
      this.#firstCommitAtMs ??= committedAtMs
      this.#spanMs = committedAtMs - this.#firstCommitAtMs
    }
    const restMs = restAfter(this.#share, {
      workedMs: now - startedAt,
      elapsedMs: now - this.#startedAt,
      spanMs: this.#spanMs,
    })
    this.#isLate = restMs === 0
    if (restMs > 0) await sleep(restMs)
  }
}
