import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { MoveProgress, TenancyConfig } from '@quickscale/tenancy'
import type { MoveOrder, MoverEvent } from './mover-worker.ts'

/** One move, as it was seen from outside; times by Date.now(). */
export interface SeenMove {
  readonly startedAtMs: number
  /** When the copy was complete and changes began to be applied behind it. */
  readonly streamingAtMs: number
  /** When the first marker had come through: everything that was written during the copy is applied. */
  readonly caughtUpAtMs: number
  /** When the tenant lived at its new place. */
  readonly switchedAtMs: number
  readonly doneAtMs: number
  readonly progress: MoveProgress
  /** Changes that were applied until the first marker. */
  readonly changesCaughtUp: number
}

export class Mover {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async open(config: TenancyConfig): Promise<Mover> {
    const worker = new Worker(new URL('./mover-worker.ts', import.meta.url), { workerData: config })
    await once(worker, 'message')
    return new Mover(worker)
  }

  /** @param signal leaves the move as it is */
  async move(order: MoveOrder, signal: AbortSignal): Promise<SeenMove> {
    const startedAtMs = Date.now()
    let [streamingAtMs, caughtUpAtMs, switchedAtMs, changesCaughtUp] = [0, 0, 0, 0]
    this.#worker.postMessage(order)
    for (;;) {
      const [event]: [MoverEvent] = (await once(this.#worker, 'message', { signal })) as [MoverEvent]
      if (event.kind === 'failed') throw new Error(`${order.slug} was not moved: ${event.reason}`)
      if (event.kind === 'done') {
        return {
          startedAtMs,
          streamingAtMs,
          caughtUpAtMs,
          switchedAtMs,
          doneAtMs: event.atMs,
          progress: event.progress,
          changesCaughtUp,
        }
      }
      if (event.kind !== 'progress') continue
      if (event.state === 'streaming') {
        streamingAtMs ||= event.atMs
        if (event.progress.lagMs !== undefined && caughtUpAtMs === 0) {
          caughtUpAtMs = event.atMs
          changesCaughtUp = event.progress.changesApplied ?? 0
        }
      }
      if (event.state === 'switched') switchedAtMs ||= event.atMs
    }
  }

  /** Whatever it is doing: its connections end with it. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
