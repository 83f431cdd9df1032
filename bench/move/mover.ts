import { type ChildProcess, fork } from 'node:child_process'
import { on, once } from 'node:events'
import { join } from 'node:path'
import type { MoveProgress, TenancyConfig } from '@quickscale/tenancy'
import type { MoveOrder, MoverEvent } from './mover-process.ts'

/** One move, as it was seen from outside; times by Date.now(). */
export interface SeenMove {
  readonly startedAtMs: number
  /** When the copy was complete and changes began to be applied behind it. */
  readonly streamingAtMs: number
  /** When everything that was written during the copy had been applied. */
  readonly caughtUpAtMs: number
  /** When the tenant lived at its new place. */
  readonly switchedAtMs: number
  readonly doneAtMs: number
  readonly progress: MoveProgress
  /** Changes that were applied until the first marker. */
  readonly changesCaughtUp: number
}

export class Mover {
  readonly #process: ChildProcess

  private constructor(process: ChildProcess) {
    this.#process = process
  }

  static async open(config: TenancyConfig): Promise<Mover> {
    const child = fork(join(import.meta.dirname, 'mover-process.ts'))
    child.send(config)
    await once(child, 'message')
    return new Mover(child)
  }

  /**
   * @param options.signal leaves the move as it is
   * @param options.onProgress called before it is switched
   */
  async move(
    order: MoveOrder,
    { signal, onProgress }: { readonly signal: AbortSignal; onProgress?(progress: MoveProgress): void },
  ): Promise<SeenMove> {
    const startedAtMs = Date.now()
    let [streamingAtMs, caughtUpAtMs, switchedAtMs, changesCaughtUp] = [0, 0, 0, 0]
    const events = on(this.#process, 'message', { signal, close: ['exit'] }) as AsyncIterable<[MoverEvent]>
    this.#process.send(order)
    for await (const [event] of events) {
      if (event.kind === 'failed') throw new Error(`${order.slug} was not moved: ${event.reason}`)
      if (event.kind === 'done') {
        const times = { startedAtMs, streamingAtMs, caughtUpAtMs, switchedAtMs, doneAtMs: event.atMs }
        return { ...times, progress: event.progress, changesCaughtUp }
      }
      if (event.kind !== 'progress') continue
      if (event.state === 'streaming') {
        streamingAtMs ||= event.atMs
        if (event.progress.catchUpMsLeft === 0 && caughtUpAtMs === 0) {
          caughtUpAtMs = event.atMs
          changesCaughtUp = event.progress.changesApplied ?? 0
        }
      }
      if (event.state === 'switched') switchedAtMs ||= event.atMs
      else if (switchedAtMs === 0) onProgress?.(event.progress)
    }
    throw new Error(`the process that moves ${order.slug} has ended`)
  }

  /** Whatever it is doing: its connections end with it. */
  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }
}
