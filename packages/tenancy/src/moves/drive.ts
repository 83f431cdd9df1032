import { setTimeout as sleep } from 'node:timers/promises'
import { findMove, type HeldMove, leaseMove, recordMove, requestMove, reviewMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import {
  type EndRole,
  isBeforeSwitch,
  isFinished,
  type Move,
  type MoveAudit,
  type MoveProgress,
  type MoveState,
} from '../move.ts'
import { isOpen } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { pointHere } from './arrive.ts'
import { asksToBeginAnew } from './begin-anew.ts'
import { claimEnd, endOf, hasSwitched } from './end.ts'
import { CancelRequested, Reporter } from './reporter.ts'
import { asHolder, evict, type Sessions, withSessions } from './session.ts'
import {
  arriveStep,
  cancelStep,
  copyStep,
  purgeStep,
  removeStream,
  returnStep,
  type StepWork,
  switchStep,
} from './steps.ts'
import { compareArrived } from './verify.ts'

/** How a move is worked on. */
export interface DriveOptions {
  /** Stops the work where it is, until somebody asks for it again: nobody takes it up by itself. */
  readonly signal?: AbortSignal
  /**
   * What `signal` stops another process takes up, at once, if one {@link Moves.watch | watches}: this one is about to end.
   *
   * @defaultValue false
   */
  readonly handOver?: boolean
  /**
   * Part of the time that copies, comparisons and removals use, 0.001 to 1: less of it disturbs others less. Less is used while small writes
   * take longer than before.
   *
   * @defaultValue 0.1
   */
  readonly copyShare?: number
  /**
   * Takes the source away at the end even if both places were found to differ as they were at the switch; see
   * {@link MoveProgress.audited}.
   *
   * @defaultValue false
   */
  readonly acceptDifferences?: boolean
  /** Called when something has been done. */
  onProgress?(move: Pick<Move, 'id' | 'state' | 'progress'>): void
}

/** @throws QuickScaleError `MOVE_OPTION_INVALID` */
export function assertOptions({ copyShare }: Pick<DriveOptions, 'copyShare'>): void {
  if (copyShare === undefined || (copyShare >= limits.moveShareMin && copyShare <= 1)) return
  throw new QuickScaleError('MOVE_OPTION_INVALID', {
    field: 'copyShare',
    range: `${limits.moveShareMin} to 1`,
  })
}

type Step = (work: StepWork) => Promise<void>

const steps: Partial<Record<MoveState, Step>> = {
  planned: copyStep,
  copying: copyStep,
  streaming: switchStep,
  switched: arriveStep,
  returning: returnStep,
  purging: purgeStep,
  cancelling: cancelStep,
}

/**
 * Takes a move over and brings it on, step by step, until it is finished or waits with the way back open. Whoever else had it can do
 * nothing more of it.
 *
 * @throws QuickScaleError `MOVE_NOT_FOUND`, `MOVE_TAKEN_OVER`, `MOVE_STALLED`, `MOVE_REFUSED` when it was taken back because rows
 *   would not fit
 */
export async function driveMove(workshop: Workshop, id: string, options: DriveOptions = {}): Promise<Move> {
  const { db, movers } = workshop.catalog
  return await movers.holding(id, async () =>
    driveLeased(workshop, await leaseMove(db, id, { asked: true }), options),
  )
}

/** The same of a move that was taken over. @throws QuickScaleError the same */
export async function driveLeased(
  workshop: Workshop,
  leased: HeldMove,
  options: DriveOptions,
): Promise<Move> {
  let held = leased
  try {
    return await driveOn(workshop, leased, options, (latest) => {
      held = latest
    })
  } catch (error) {
    if (options.signal?.aborted) await putDown(workshop, held, options)
    throw error
  }
}

/** Says of a move that was stopped who is to go on with it. */
async function putDown(workshop: Workshop, held: HeldMove, { handOver }: DriveOptions): Promise<void> {
  try {
    // Whether it was switched counts more than what the catalog has heard.
    const settled = isBeforeSwitch(held) ? await settleState(workshop, held, {}) : held
    await recordMove(workshop.catalog.db, settled, handOver ? { handedOver: true } : { stopped: true })
  } catch (error) {
    // Somebody else works on it by now.
    if (!(error instanceof QuickScaleError && error.code === 'MOVE_TAKEN_OVER')) throw error
  }
}

async function driveOn(
  workshop: Workshop,
  leased: HeldMove,
  options: DriveOptions,
  onHeld: (held: HeldMove) => void,
): Promise<Move> {
  const { db } = workshop.catalog
  const { id } = leased
  let refusal: unknown = null
  let held: HeldMove | null = await settleState(workshop, leased, options)
  for (const attempts: Attempts = { failures: 0, restarts: 0 }; held !== null; ) {
    const current: HeldMove = held
    onHeld(current)
    const step = steps[current.state]
    if (step === undefined) break
    try {
      await runStep(workshop, current, step, options)
      attempts.failures = 0
      const after = await reviewMove(db, current)
      held = after === null ? null : await settleState(workshop, after, options)
    } catch (error) {
      attempts.failures += 1
      refusal = (await recover(workshop, current, error, attempts)) ?? refusal
      options.signal?.throwIfAborted()
      held = await settleState(workshop, await leaseMove(db, id, { asked: false }), options)
    }
  }
  if (refusal !== null) throw refusal
  return await outcomeOf(db, id, held)
}

/** Whoever has taken the move over may still be busy with it. */
async function outcomeOf(db: Workshop['catalog']['db'], id: string, held: HeldMove | null): Promise<Move> {
  const move = await findMove(db, id)
  if (move === null) throw new QuickScaleError('MOVE_NOT_FOUND', { move: id })
  if (held === null && move.state !== 'active' && !isFinished(move)) {
    throw new QuickScaleError('MOVE_TAKEN_OVER', { move: id })
  }
  return move
}

async function runStep(workshop: Workshop, held: HeldMove, step: Step, options: DriveOptions): Promise<void> {
  const tell = (state: MoveState, progress: MoveProgress) =>
    options.onProgress?.({ id: held.id, state, progress })
  tell(held.state, held.progress)
  const reporter = new Reporter(workshop, held, { signal: options.signal ?? null, onProgress: tell })
  try {
    reporter.signal.throwIfAborted()
    await evict(workshop, held)
    const work = (sessions: Sessions) =>
      step({
        workshop,
        held,
        sessions,
        reporter,
        share: options.copyShare ?? limits.moveShare,
        evict: () => evict(workshop, held),
      })
    await withSessions(workshop, held, work, reporter.signal)
  } finally {
    await reporter.close()
  }
}

/** What the places say counts more than what the catalog has heard; then what somebody has asked for. */
async function settleState(workshop: Workshop, held: HeldMove, options: DriveOptions): Promise<HeldMove> {
  const { db } = workshop.catalog
  const become = async (state: MoveState): Promise<HeldMove> => {
    await recordMove(db, held, { state, ...(state === 'switched' ? { switched: true } : {}) })
    return { ...held, state }
  }
  const begun = held.state !== 'planned' || held.request === 'cancel'
  if ((isBeforeSwitch(held) && begun) || held.state === 'switched') {
    const end = endOf(held, 'source')
    const source = await workshop.servers.connected(end.place.database, (client) =>
      claimEnd(client, held, 'source', 'planned'),
    )
    if (source.state === 'returned') {
      // The switch was taken back, and whoever did it has not come further.
      await pointHere(workshop, held, end, held.epoch + 2)
      return await become('cancelling')
    }
    if (hasSwitched(source)) return held.state === 'switched' ? held : await become('switched')
    if (held.request === 'cancel') return await become('cancelling')
  }
  if (held.state === 'active') {
    if (held.request === 'rollback' && held.windowMs > 0) return await become('returning')
    const over = held.rollbackUntil !== null && held.rollbackUntil.getTime() <= Date.now()
    if (over || held.request === 'finish') {
      if (options.acceptDifferences !== true) await assertAudited(workshop, held, options)
      return await become('purging')
    }
  }
  return held
}

/** What the source has is not taken away when the target began with something else. */
async function assertAudited(workshop: Workshop, held: HeldMove, options: DriveOptions): Promise<void> {
  const { differences } = held.progress.audited ?? (await auditLate(workshop, held, options))
  if (differences.length === 0) return
  const reason = `the places differed at the switch: ${differences.join('; ')}`
  await recordMove(workshop.catalog.db, held, { failure: reason, unasked: true })
  throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason })
}

/** Whoever switched the tenant was ended before the audit. Without a way back there is no log to compare with. */
async function auditLate(workshop: Workshop, held: HeldMove, options: DriveOptions): Promise<MoveAudit> {
  if (held.windowMs === 0) return { tables: 0, differences: [] }
  const share = options.copyShare ?? limits.moveShare
  const { tables, differences } = await compareArrived(workshop, held, share, options.signal)
  await recordMove(workshop.catalog.db, held, { progress: { audited: { tables, differences } } })
  return { tables, differences }
}

/** What one driver has tried. */
interface Attempts {
  /** Steps that have failed since the last one that did not. */
  failures: number
  /** How often the copy was thrown away. */
  restarts: number
}

/**
 * Decides how it goes on after a step has failed: again, from the beginning, back, or not at all.
 *
 * @returns what is to be thrown when the move has been taken back; null otherwise
 */
async function recover(
  workshop: Workshop,
  held: HeldMove,
  error: unknown,
  attempts: Attempts,
): Promise<unknown> {
  const { db } = workshop.catalog
  const cause = unwrap(error)
  // Whoever has asked for it takes the move over: to take it back from him again would only hold both up.
  if (cause instanceof CancelRequested)
    throw new QuickScaleError('MOVE_TAKEN_OVER', { move: held.id }, { cause })
  if (asksToBeginAnew(cause)) {
    if (isBeforeSwitch(held)) return await beginAnew(workshop, held, cause, attempts)
    return await giveUp(workshop, held, cause)
  }
  if (cause instanceof QuickScaleError) {
    if (cause.code === 'MOVE_TAKEN_OVER') throw cause
    if (cause.code === 'MOVE_REFUSED') {
      await recordMove(db, held, { failure: cause.message })
      await requestMove(db, held.id, 'cancel')
      return cause
    }
    if (cause.code === 'MOVE_STALLED') return await giveUp(workshop, held, cause)
  }
  if (attempts.failures > limits.attemptsMax) return await giveUp(workshop, held, cause)
  await sleep(limits.retryPauseMsMax * attempts.failures)
  // Whoever took the move over has ended our connections, which looks like any other failure: it must not be taken back.
  await recordMove(db, held, { progress: {} })
  return null
}

/** What the target has is thrown away. Something that comes between again and again has to be looked at. */
async function beginAnew(
  workshop: Workshop,
  held: HeldMove,
  cause: Error,
  attempts: Attempts,
): Promise<unknown> {
  attempts.restarts += 1
  const known = await workshop.servers.connected(endOf(held, 'source').place.database, (client) =>
    claimEnd(client, held, 'source', 'planned'),
  )
  if (hasSwitched(known)) return null
  await recordMove(workshop.catalog.db, held, { state: 'planned' })
  if (attempts.restarts <= limits.moveRestartsMax) return null
  return await giveUp(workshop, { ...held, state: 'planned' }, cause)
}

/** The move stays as it is, and can be resumed. A tenant that cannot go back lives where it is. */
async function giveUp(workshop: Workshop, held: HeldMove, error: unknown): Promise<never> {
  const reason = error instanceof Error ? error.message : String(error)
  // A copy that is not complete begins anew: nobody needs the log that is kept for it.
  const kept = isBeforeSwitch(held) && held.state !== 'streaming' ? await dropStreams(workshop, held) : []
  const failure = [reason, ...kept].join('; ')
  const stays = held.state === 'returning' && !(await hasReturned(workshop, held))
  await recordMove(workshop.catalog.db, held, {
    failure,
    ...(stays ? { state: 'active', unasked: true } : {}),
  })
  if (error instanceof QuickScaleError) throw error
  throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason: failure }, { cause: error })
}

/** @returns what could not be dropped, in words */
async function dropStreams(workshop: Workshop, held: HeldMove): Promise<string[]> {
  const { servers } = asHolder(workshop, held)
  const drop = async (role: EndRole): Promise<string[]> => {
    const { place } = endOf(held, role)
    try {
      if (!(await isOpen({ servers }, place.database))) return []
      await servers.connected(place.database, (client) => removeStream(client, held, role))
      return []
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return [`its replication slot in ${place.database.name} could not be dropped: ${why}`]
    }
  }
  return [...(await drop('source')), ...(await drop('target'))]
}

async function hasReturned(workshop: Workshop, held: HeldMove): Promise<boolean> {
  const { state } = await workshop.servers.connected(endOf(held, 'target').place.database, (client) =>
    claimEnd(client, held, 'target', 'planned'),
  )
  return state === 'returned'
}

/** A pipeline that was aborted says only that. */
function unwrap(error: unknown): unknown {
  return error instanceof Error && error.name === 'AbortError' && error.cause !== undefined
    ? error.cause
    : error
}
