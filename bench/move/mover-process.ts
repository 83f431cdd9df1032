/** Moves tenants in a process of its own, as the command does: what the clients of the benchmark wait for is not the mover. */
import {
  createTenancy,
  type MoveProgress,
  type MoveState,
  type Strategy,
  type Tenancy,
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

const tell = (event: MoverEvent) => process.send?.(event)

process.once('message', async (config: TenancyConfig) => {
  const tenancy = await createTenancy(config)
  process.on('message', (order: MoveOrder) => move(tenancy, order))
  tell({ kind: 'ready' })
})
// Its parent is gone.
process.once('disconnect', () => process.exit())

async function move({ moves }: Tenancy, { slug, to, copyShare }: MoveOrder): Promise<void> {
  try {
    const { progress } = await moves.start(slug, {
      to,
      ...(copyShare !== undefined && { copyShare }),
      // With the way back open until the end of the switch, then the source is taken away.
      rollbackWindowMs: 1,
      onProgress: (move) =>
        tell({ kind: 'progress', state: move.state, progress: move.progress, atMs: Date.now() }),
    })
    await moves.finish(slug)
    tell({ kind: 'done', progress, atMs: Date.now() })
  } catch (error) {
    tell({ kind: 'failed', reason: String(error) })
  }
}
