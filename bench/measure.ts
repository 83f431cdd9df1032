import { median } from './statistics.ts'

/** What one subject did in one round. */
export interface Slice {
  /** Time divided by the queries of all clients together: the inverse of their throughput. */
  readonly msPerQuery: number
  /** Median time between asking and having the answer. */
  readonly p50Ms: number
  /** All of them, in no order. */
  readonly latenciesMs: readonly number[]
}

/**
 * Runs the operation in a closed loop, `clients` at a time, each beginning the next when the last is answered.
 *
 * @throws the first error of an operation, after the others have ended
 */
export async function measureSlice(
  operation: () => Promise<void>,
  options: { clients: number; durationMs: number; signal: AbortSignal },
): Promise<Slice> {
  options.signal.throwIfAborted()
  const latenciesMs: number[] = []
  let failed = false
  const startedMs = performance.now()
  const deadlineMs = startedMs + options.durationMs
  const client = async () => {
    for (let nowMs = startedMs; nowMs < deadlineMs && !failed; ) {
      const askedMs = nowMs
      await operation().catch((error: unknown) => {
        failed = true
        throw error
      })
      nowMs = performance.now()
      latenciesMs.push(nowMs - askedMs)
    }
  }
  await allEnded(Array.from({ length: options.clients }, client))
  // Not the elapsed time: at its end some clients have finished and others have not.
  const busyMs = latenciesMs.reduce((sum, latencyMs) => sum + latencyMs, 0) / options.clients
  return {
    msPerQuery: busyMs / latenciesMs.length,
    p50Ms: median(latenciesMs),
    latenciesMs,
  }
}

/** Calls `work` for every item, `concurrency` at a time. */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values()
  const worker = async () => {
    for (const item of left) await work(item)
  }
  await allEnded(Array.from({ length: concurrency }, worker))
}

/** Waits for all, even when one fails: nothing may still run when the databases are dropped. */
async function allEnded(running: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(running)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
