import { setTimeout as sleep } from 'node:timers/promises'
import type { Move } from '@quickscale/tenancy'
import { MoverNotStarted, MoverProcess } from '../test/support/mover-process.ts'
import type { Scenario } from './scenarios.ts'
import type { Site, Subject } from './site.ts'

const settleMs = 90_000
const retryMs = 200
const finals: readonly string[] = ['done', 'returned', 'cancelled']

/** How a move has ended, and what was in the way. */
export interface Settlement {
  /** Null when the mover was struck before it wrote anything down. */
  readonly move: Move | null
  readonly failures: readonly string[]
}

/** Another process goes on with the move, as an operator would have it, until it is over. */
export async function settle(
  site: Site,
  subject: Subject,
  { wish }: Scenario,
  after: Date,
): Promise<Settlement> {
  const deadline = performance.now() + settleMs
  const by = site.random.pick(['this process', 'this process', 'another process', 'a watch'] as const)
  const watch = by === 'a watch' ? await startWatch(site, subject) : null
  try {
    return await settleBy(site, subject, { wish, after, by, deadline })
  } finally {
    await watch?.kill()
  }
}

/** A process that takes up by itself what others have left. */
async function startWatch({ moverConfig }: Site, { key }: Subject): Promise<MoverProcess> {
  const watch = new MoverProcess({ config: moverConfig, key, destination: {} })
  await watch.untilReady()
  watch.order('watch')
  return watch
}

interface Settling {
  readonly wish: Scenario['wish']
  readonly after: Date
  /** Who goes on with the move. */
  readonly by: 'this process' | 'another process' | 'a watch'
  readonly deadline: number
}

async function settleBy(
  site: Site,
  subject: Subject,
  { wish, after, by, deadline }: Settling,
): Promise<Settlement> {
  const failures: string[] = []
  for (;;) {
    try {
      const [latest] = await site.tenancy.moves.list({ tenant: subject.key, limit: 1 })
      const move = latest !== undefined && latest.createdAt > after ? latest : null
      if (move === null || finals.includes(move.state) || performance.now() > deadline)
        return { move, failures }
      await advance(site, subject, move, { wish, by })
    } catch (error) {
      if (performance.now() > deadline || error instanceof MoverNotStarted) throw error
      failures.push(error instanceof Error ? error.message : String(error))
    }
    await sleep(retryMs)
  }
}

async function advance(
  { tenancy, moverConfig }: Site,
  { key }: Subject,
  { id, state }: Move,
  { wish, by }: Pick<Settling, 'wish' | 'by'>,
): Promise<void> {
  if (wish === 'cancel' && ['planned', 'copying', 'streaming'].includes(state)) {
    await tenancy.moves.cancel(id)
    return
  }
  if (state === 'active') {
    await (wish === 'rollback' ? tenancy.moves.rollback(id) : tenancy.moves.finish(id))
    return
  }
  if (by === 'a watch') return
  if (by === 'another process') {
    const mover = new MoverProcess({ config: moverConfig, key, destination: {} })
    await mover.untilReady()
    mover.order('resume')
    await mover.finish()
    const answer = mover.answerTo('resume')
    if (answer !== 'resume resumed') throw new Error(`another process: ${answer}`)
    return
  }
  const { failed } = await tenancy.moves.resume({ copyShare: 1 })
  if (failed[0] !== undefined) throw failed[0].error
}
