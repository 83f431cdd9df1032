/**
 * Takes up moves whose process is gone. Every process may watch: which of them goes on with a move is decided by a lock, and what
 * an earlier holder might still do by the lease, as ever. How often it was tried is written down before it is: a move that ends
 * each process that touches it is left alone in the end too.
 */
import {
  type LeftMove,
  leaseLeftMove,
  listLeftMoves,
  listUnheardMoves,
  noteVainAttempt,
} from '../catalog/left-moves.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Move } from '../move.ts'
import { pause } from '../pause.ts'
import { endsOf, readEnd } from '../placements/departures.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { assertOptions, type DriveOptions, driveLeased } from './drive.ts'
import type { Turns } from './turns.ts'

/** How moves are watched. */
export interface WatchOptions extends Pick<DriveOptions, 'copyShare'> {
  /**
   * Called when a move that was taken up is where it was to be, or waits with its way back open. Neither this nor `onFailed` is waited
   * for; what they throw is a warning of the process, `QUICKSCALE_CALLBACK_FAILED`.
   */
  onResumed?(move: Move): void
  /** Called when one could not be brought on, or moves could not be looked for; that is tried again. */
  onFailed?(failure: { readonly move: string | null; readonly error: unknown }): void
}

/** A watch over the moves of an installation. */
export interface MoveWatch {
  /**
   * Takes up no further move, and leaves those that it has taken up to other processes. Repeatable.
   */
  close(): Promise<void>
}

/** Looks for left moves every second, until it is closed. */
export class Watch implements MoveWatch {
  readonly #workshop: Workshop
  readonly #turns: Turns
  readonly #options: WatchOptions
  readonly #closing = new AbortController()
  readonly #working = new Set<Promise<void>>()
  readonly #looking: Promise<unknown>
  /** Leases under which tenants have left their places, and the catalog has not heard of it. */
  readonly #departed = new Map<string, number>()

  /** @throws QuickScaleError `MOVE_OPTION_INVALID` */
  constructor(workshop: Workshop, turns: Turns, options: WatchOptions) {
    assertOptions(options)
    this.#workshop = workshop
    this.#turns = turns
    this.#options = options
    this.#looking = Promise.all([
      this.#keepLooking(() => this.#look(), limits.moveWatchMs),
      this.#keepLooking(() => this.#lookForDeparted(), limits.moveDepartureMs),
    ])
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#looking
    await Promise.all(this.#working)
  }

  async #keepLooking(look: () => Promise<void>, everyMs: number): Promise<void> {
    const { signal } = this.#closing
    for (let failures = 0; !signal.aborted; ) {
      try {
        await look()
        failures = 0
      } catch (error) {
        failures += 1
        if (!signal.aborted) this.#tellFailure(null, error)
      }
      await pause(Math.min(everyMs * 2 ** failures, limits.moveWatchMsMax), signal)
    }
  }

  async #look(): Promise<void> {
    for (const move of await listLeftMoves(this.#workshop.catalog.db, limits.movesWatchedMax)) {
      if (!(await this.#takeUp(move, null))) return
    }
  }

  /**
   * A tenant between two places is let in nowhere, and does not wait until others have been moved.
   *
   * @returns whether there may be room for another one
   */
  async #takeUp({ id, between }: LeftMove, departed: number | null): Promise<boolean> {
    if (this.#closing.signal.aborted) return false
    const leave = await this.#workshop.catalog.movers.takeIfFree(id)
    if (leave === null) return true
    const goOn = () => this.#goOn(id, departed)
    const working = between ? goOn() : this.#turns.ifFree(goOn)
    if (working === null) {
      await leave()
      return false
    }
    const done = working.finally(leave).finally(() => this.#working.delete(done))
    this.#working.add(done)
    return true
  }

  /**
   * Asks the places of moves that nobody is to take up whether their tenants have left. Whoever did that and lives says so in the
   * catalog within milliseconds: one who has not at the second look is taken for gone, and can do nothing more if he is not.
   */
  async #lookForDeparted(): Promise<void> {
    const moves = await listUnheardMoves(this.#workshop.catalog.db, limits.movesAskedMax)
    const asked = await Promise.allSettled(
      moves.map(async (held) => {
        const { id, lease } = held
        if (!(await readEnd(this.#workshop, held, endsOf(held).from)).left) return
        if (this.#departed.get(id) !== lease) {
          this.#departed.set(id, lease)
          return
        }
        this.#departed.delete(id)
        await this.#takeUp({ id, between: true }, lease)
      }),
    )
    const failed = asked.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  async #goOn(id: string, departed: number | null): Promise<void> {
    const { copyShare, onResumed } = this.#options
    const { signal } = this.#closing
    const { db } = this.#workshop.catalog
    let attempts: number | null = null
    try {
      const leased = await leaseLeftMove(db, id, departed)
      if (leased === null) return
      attempts = leased.attempts
      const drive = { signal, handOver: true, ...(copyShare === undefined ? {} : { copyShare }) }
      const move = await driveLeased(this.#workshop, leased, drive)
      void tell(() => onResumed?.(move))
    } catch (error) {
      if (signal.aborted || isTakenOver(error)) return
      this.#tellFailure(id, error)
      if (attempts !== null) await this.#noteVainAttempt(id, attempts, error)
    }
  }

  async #noteVainAttempt(id: string, attempts: number, error: unknown): Promise<void> {
    const isNoted = error instanceof QuickScaleError && error.code === 'MOVE_STALLED'
    const why = error instanceof Error ? error.message : String(error)
    try {
      await noteVainAttempt(this.#workshop.catalog.db, { id, attempts }, isNoted ? null : why)
    } catch (unwritten) {
      // When it is tried again was written down before.
      this.#tellFailure(id, unwritten)
    }
  }

  #tellFailure(move: string | null, error: unknown): void {
    const { onFailed } = this.#options
    void tell(() => onFailed?.({ move, error }))
  }
}

/** What is told is no part of the work: that it fails ends neither the watch nor the process. Not to be waited for. */
async function tell(call: () => unknown): Promise<void> {
  try {
    await call()
  } catch (error) {
    process.emitWarning('A callback of moves.watch() has failed; the watch goes on.', {
      code: 'QUICKSCALE_CALLBACK_FAILED',
      detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
    })
  }
}

/** Somebody was asked for something else. */
function isTakenOver(error: unknown): boolean {
  return error instanceof QuickScaleError && error.code === 'MOVE_TAKEN_OVER'
}
