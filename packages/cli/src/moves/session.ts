import { createTenancy, type DriveOptions, loadConfig, type Move, type Tenancy } from '@quickscale/tenancy'
import { exitCodes } from '../exit-codes.ts'
import { explain } from '../explain.ts'
import { interruption } from './interruption.ts'
import { createMoveProgress, type ProgressStream } from './progress.ts'

/** What every command about moves takes. */
export interface MoveFlags {
  readonly json?: boolean
  readonly config: string
  readonly watch?: boolean
  readonly share?: number
}

/** What a command works with. */
export interface MoveSession {
  readonly tenancy: Tenancy
  readonly signal: AbortSignal
  /** For whatever moves a tenant: stops with the command, and tells how far it is. */
  readonly drive: DriveOptions
  /** Draws where a move is. */
  show(move: Pick<Move, 'id' | 'state' | 'progress'>): void
  /** Draws where something else is; at once when it is another thing than before. */
  draw(what: string, line: () => string): void
}

/** The result of a command: one object for programs, a text for people. */
export interface Outcome {
  readonly exitCode: number
  readonly json: object
  readonly text: string
}

/**
 * Opens the installation for `work` and prints its outcome. The first Ctrl-C stops the work where it is; a move can be
 * killed anywhere, so more of them change nothing.
 *
 * @param whenInterrupted what becomes of the work then, of one move unless it is said
 * @returns the exit code
 */
export async function withMoves(
  { json = false, config: cwd, watch = false, share }: MoveFlags,
  work: (session: MoveSession) => Promise<Outcome>,
  whenInterrupted?: string,
): Promise<number> {
  const abort = new AbortController()
  const onSignal = () => abort.abort()
  for (const signal of signals) process.on(signal, onSignal)
  const progress = createMoveProgress(process.stderr as ProgressStream, watch)
  const seen: { last: Pick<Move, 'id' | 'state'> | null } = { last: null }
  const show = (move: Pick<Move, 'id' | 'state' | 'progress'>) => {
    seen.last = move
    progress.show(move)
  }
  try {
    const tenancy = await createTenancy(await loadConfig({ cwd }))
    try {
      const { signal } = abort
      const outcome = await work({
        tenancy,
        signal,
        drive: { signal, onProgress: show, ...(share !== undefined && { copyShare: share }) },
        show,
        draw: progress.draw,
      })
      progress.end()
      process.stdout.write(`${json ? JSON.stringify(outcome.json) : outcome.text}\n`)
      return outcome.exitCode
    } catch (error) {
      // A step that was told to stop may have switched the tenant on the way.
      if (abort.signal.aborted && seen.last !== null) seen.last = await tenancy.moves.get(seen.last.id)
      throw error
    } finally {
      await tenancy.close()
    }
  } catch (error) {
    progress.end()
    if (!abort.signal.aborted) return explain(error, json)
    console.error(whenInterrupted ?? interruption(seen.last))
    return exitCodes.interrupted
  } finally {
    // A terminal and npm may both deliver the same Ctrl-C: the second one must not kill what the first one is stopping.
    if (!abort.signal.aborted) for (const signal of signals) process.off(signal, onSignal)
  }
}

const signals = ['SIGINT', 'SIGTERM'] as const
