import { setTimeout as sleep } from 'node:timers/promises'
import { announceArrival, type HeldMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { withTenantLocked } from '../lifecycle/locked.ts'
import { limits } from '../limits.ts'
import { type OpenState, openStateOf } from './arrive.ts'
import { TablesChanged } from './begin-anew.ts'
import { alignSequences, Occupied, rehearse } from './compare/rehearse.ts'
import { type Crossing, type CrossingWork, readSameTables, renewLocker } from './crossing.ts'
import type { Reporter } from './reporter.ts'
import { fingerprintOf } from './tables.ts'

/** Compares everything, and cuts over when the tenant's writes leave room for it. */
export async function crossWhenReady(
  { workshop, held, sessions, reporter }: CrossingWork & { readonly reporter: Reporter },
  crossing: Crossing,
  switchOver: (state: OpenState) => Promise<void>,
): Promise<void> {
  const { follower, here } = crossing
  let [rehearsals, followUps, failed] = [0, 0, 0]
  let proven = false
  await catchUp(crossing, reporter)
  for (;;) {
    reporter.signal.throwIfAborted()
    const lagMs = await follower.reachNow(here)
    reporter.tell({ changesApplied: follower.applied, lagMs: Math.round(lagMs) })
    try {
      if (!proven || follower.touched.count > limits.cutoverKeysMax) {
        if (rehearsals >= limits.rehearsalsMax)
          throw stalled(held, 'the tenant writes faster than it can be compared')
        // Rows that were proven once need not be again unless they are touched.
        await rehearse(crossing, proven ? 'touched' : 'all')
        ;[rehearsals, followUps] = [rehearsals + 1, 0]
        await alignSequences(crossing)
        await announceArrival(workshop.catalog.db, held.id)
        // Opening connections takes longer than switching.
        await sleep(limits.arrivalNoticeMs)
        proven = true
        continue
      }
      // What is compared now need not be while the tenant waits; of a busy one some rows always remain.
      if (follower.touched.count > limits.cutoverKeysFew && followUps < limits.followUpsMax) {
        followUps += 1
        await rehearse(crossing, 'touched')
        continue
      }
      if (lagMs > limits.cutoverLagMsMax) {
        if (++failed > limits.cutoversMax) throw stalled(held, `the log is ${Math.round(lagMs)} ms behind`)
        await sleep(limits.cutoverPauseMs / 10)
        continue
      }
      // Beside nobody who changes the tenant or the tables.
      await withTenantLocked(workshop, held.tenantId, { apart: true }, async (tenant, { assertHeld }) => {
        const state = openStateOf(tenant)
        if (fingerprintOf(await readSameTables(crossing)) !== fingerprintOf(crossing.tables)) {
          throw new TablesChanged('a migration has come between')
        }
        await follower.reachNow(here)
        await assertHeld()
        const startedAt = performance.now()
        await switchOver(state)
        reporter.tell({ lockedMs: Math.round(performance.now() - startedAt), cutoversFailed: failed })
      })
      return
    } catch (error) {
      if (!(error instanceof Occupied)) throw error
      if (++failed > limits.cutoversMax) throw stalled(held, 'transactions of the tenant do not end')
      reporter.tell({ cutoversFailed: failed })
      await sleep(limits.cutoverPauseMs)
      await renewLocker(sessions, crossing)
    }
  }
}

/** With what the tenant wrote before. */
async function catchUp({ follower, here }: Crossing, reporter: Reporter): Promise<void> {
  await follower.catchUp(here, {
    signal: reporter.signal,
    onBehind: (behind) => {
      const { lagMs, msLeft } = behind ?? {}
      reporter.tell({
        changesApplied: follower.applied,
        ...(lagMs !== undefined && { lagMs: Math.round(lagMs) }),
        ...(msLeft !== undefined && { catchUpMsLeft: Math.ceil(msLeft) }),
      })
    },
  })
  reporter.tell({ changesApplied: follower.applied, catchUpMsLeft: 0 })
}

function stalled(held: HeldMove, reason: string): QuickScaleError {
  return new QuickScaleError('MOVE_STALLED', { move: held.id, reason })
}
