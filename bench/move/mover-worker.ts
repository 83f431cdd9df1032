/** Moves tenants in a thread of its own: what the clients of the benchmark wait for is not the mover's event loop. */
import { parentPort, workerData } from 'node:worker_threads'
import {
  createTenancy,
  type MoveProgress,
  type MoveState,
  type Strategy,
  type TenancyConfig,
} from '@quickscale/tenancy'

export interface MoveOrder {
  readonly slug: string
  readonly to: Strategy
  readonly copyShare?: number
}

/** What happened, and when by Date.now(). */
export type MoverEvent =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'progress'
      readonly state: MoveState
      readonly progress: MoveProgress
      readonly atMs: number
    }
  | { readonly kind: 'done'; readonly progress: MoveProgress; readonly atMs: number }
  | { readonly kind: 'failed'; readonly reason: string }

const tenancy = await createTenancy(workerData as TenancyConfig)
const tell = (event: MoverEvent) => parentPort?.postMessage(event)

parentPort?.on('message', async (order: MoveOrder) => {
  try {
    const { progress } = await tenancy.moves.start(order.slug, {
      to: order.to,
      ...(order.copyShare !== undefined && { copyShare: order.copyShare }),
      // With the way back open until the end of the switch, then the source is taken away.
      rollbackWindowMs: 1,
      onProgress: (move) =>
        tell({ kind: 'progress', state: move.state, progress: move.progress, atMs: Date.now() }),
    })
    await tenancy.moves.finish(order.slug)
    tell({ kind: 'done', progress, atMs: Date.now() })
  } catch (error) {
    tell({ kind: 'failed', reason: String(error) })
  }
})
tell({ kind: 'ready' })
