import { type HeldMove, recordMove, requestOfMove } from '../catalog/moves.ts'
import { limits } from '../limits.ts'
import { isBeforeSwitch, type MoveProgress, type MoveState } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'

/** Somebody has asked for the move to be taken back. */
export class CancelRequested extends Error {}

/** Writes down how far a move is, now and then, and hears on the way what its holder is asked for. */
export class Reporter {
  readonly #db: Workshop['catalog']['db']
  readonly #held: HeldMove
  readonly #onProgress: (state: MoveState, progress: MoveProgress) => void
  readonly #stopping = new AbortController()
  readonly #timer: NodeJS.Timeout
  #state: MoveState
  #progress: MoveProgress
  #unwritten: MoveProgress | null = null
  #writing: Promise<void> = Promise.resolve()

  constructor(
    { catalog }: Workshop,
    held: HeldMove,
    {
      signal,
      onProgress,
    }: {
      signal: AbortSignal | null
      onProgress: (state: MoveState, progress: MoveProgress) => void
    },
  ) {
    this.#db = catalog.db
    this.#held = held
    // Whatever is done of a planned move is done of its copy.
    this.#state = held.state === 'planned' ? 'copying' : held.state
    this.#progress = held.progress
    this.#onProgress = onProgress
    if (signal?.aborted) this.#stopping.abort(signal.reason)
    signal?.addEventListener('abort', () => this.#stopping.abort(signal.reason), {
      signal: this.#stopping.signal,
    })
    this.#timer = setInterval(() => {
      this.#writing = this.#writing.then(() => this.#beat())
    }, limits.moveProgressMs)
  }

  /** Aborts when the move was taken over, is to be cancelled, or its caller has had enough. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  tell(progress: MoveProgress): void {
    this.#progress = { ...this.#progress, ...progress }
    this.#unwritten = this.#progress
    this.#onProgress(this.#state, this.#progress)
  }

  /** The tenant lives at its new place; what the step has left to do may take a while. */
  tellSwitched(): void {
    this.#state = 'switched'
    this.#onProgress(this.#state, this.#progress)
  }

  get progress(): MoveProgress {
    return this.#progress
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    if (!this.#stopping.signal.aborted) await this.#beat()
  }

  async #beat(): Promise<void> {
    try {
      const progress = this.#unwritten
      this.#unwritten = null
      if (progress !== null) await recordMove(this.#db, this.#held, { progress })
      // After the switch it has come too late, and is forgotten.
      if (isBeforeSwitch(this.#held) && (await requestOfMove(this.#db, this.#held.id)) === 'cancel') {
        this.#stopping.abort(new CancelRequested('the move is to be cancelled'))
      }
    } catch (error) {
      // A catalog that cannot be reached is no reason to give up what needs it at its end only.
      if (isTakenOver(error)) this.#stopping.abort(error)
    }
  }
}

function isTakenOver(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'MOVE_TAKEN_OVER'
}
