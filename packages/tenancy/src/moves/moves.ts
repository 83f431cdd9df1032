import { findMove, findUnfinishedMove, listDueMoves, listMoves, requestMove } from '../catalog/moves.ts'
import { findTenant, parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { isFinished, type Move, type MoveRequest, type MoveState } from '../move.ts'
import type { Plans } from '../placements/reserve.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { abandonMove } from './abandon.ts'
import { driveToArrival } from './arrival.ts'
import { assertOptions, type DriveOptions, driveMove } from './drive.ts'
import { moveTo } from './move-to.ts'
import { type Destination, type MovePlan, planMove } from './plan.ts'
import { createTurns, type Turns } from './turns.ts'
import { type MoveVerification, verifyMove } from './verify.ts'
import { type MoveWatch, Watch, type WatchOptions } from './watch.ts'

/** What a resumption has done. */
export interface ResumeReport {
  /** Moves that were brought on. */
  readonly moves: readonly Move[]
  /** Moves that the next one will try again. */
  readonly failed: readonly { readonly move: string; readonly error: unknown }[]
}

/** Tenants on their way from one place to another, while they work. */
export interface Moves {
  /**
   * What a move would do, and what is in its way; changes nothing.
   *
   * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_MOVING`, `PLAN_UNKNOWN`, `PLACEMENT_REFUSED`, `SERVER_UNKNOWN`
   * @example
   * const { target, size, obstacles } = await tenancy.moves.plan('acme', { to: 'database' })
   */
  plan(key: string, destination: Destination): Promise<MovePlan>
  /**
   * Moves a tenant, and settles when it lives at its destination. Its work goes on meanwhile; for some milliseconds its
   * statements wait. When this process ends before, another one that watches goes on, or `resume()`.
   *
   * @throws QuickScaleError `MOVE_OPTION_INVALID`, `MOVE_REFUSED` with all that is in the way, `MOVE_STALLED`, `MOVE_CANCELLED`, `MOVE_TAKEN_OVER`,
   *   and what {@link Moves.plan} throws
   * @example
   * const move = await tenancy.moves.start('acme', { to: 'database', onProgress: ({ state }) => console.log(state) })
   */
  start(key: string, options: Destination & DriveOptions): Promise<Move>
  /** @param key the move's id, or a tenant that is on the move @throws QuickScaleError `MOVE_NOT_FOUND` */
  get(key: string): Promise<Move>
  /** The newest ones first. */
  list(filter?: { tenant?: string; unfinished?: boolean; limit?: number }): Promise<Move[]>
  /** Takes a move back that has not been switched: nothing is left at the target. @throws QuickScaleError `MOVE_OVER` */
  cancel(key: string, options?: DriveOptions): Promise<Move>
  /** Moves the tenant back, with all that it wrote since; while the way back is open. @throws QuickScaleError `MOVE_OVER` */
  rollback(key: string, options?: DriveOptions): Promise<Move>
  /** Closes the way back, and takes away what is left at the source. @throws QuickScaleError `MOVE_OVER` */
  finish(key: string, options?: DriveOptions): Promise<Move>
  /**
   * Ends a move one of whose servers is gone for good, and lets the other one go: no log is kept for it any more. Before the
   * switch the tenant stays at the source, after it at the target; a switch whose target was never opened is taken back. Refused
   * when the tenant lives on the server that does not answer, for that is not forgotten, and when both servers answer. What
   * the server that is gone has of the tenant is left there.
   *
   * @throws QuickScaleError `MOVE_NOT_FOUND`, `MOVE_OVER`, `MOVE_NOT_ABANDONED`, `MOVE_TAKEN_OVER`
   * @example
   * const { state } = await tenancy.moves.abandon('acme') // 'cancelled'
   */
  abandon(key: string): Promise<Move>
  /**
   * Compares all rows of a tenant that has arrived with those of the place it came from, as of one moment, while the way back
   * is open. All that was written since the switch is brought to the source for it, as a rollback would begin. So it proves
   * that a rollback would lose nothing.
   *
   * @throws QuickScaleError `MOVE_NOT_FOUND`, `MOVE_OVER` when the way back is not open, `MOVE_STALLED`, `MOVE_TAKEN_OVER` when
   *   a rollback comes between
   * @example
   * const { differences } = await tenancy.moves.verify('acme') // []
   */
  verify(key: string, options?: Pick<DriveOptions, 'signal'>): Promise<MoveVerification>
  /**
   * Takes up by itself, as long as it is open, what another process has left behind, and finishes moves whose way back is over. Of any number of
   * processes that watch one goes on with a move; none of them touches one that a living process works on, or that was stopped by its `signal`. One that
   * cannot be brought on is tried again after 5 seconds, and after pauses that double, eight times in all; a tenant that
   * was switched and has not arrived is never given up. `tenancy.close()` closes it too.
   *
   * @example
   * const watch = tenancy.moves.watch({ onFailed: ({ move, error }) => console.warn(move, error) })
   * process.once('SIGTERM', () => watch.close())
   */
  watch(options?: WatchOptions): MoveWatch
  /** Goes on with what was interrupted, by whatever, and finishes moves whose way back is over; takes over what others work on. */
  resume(options?: DriveOptions): Promise<ResumeReport>
}

/** What the rest of the library needs of moves. */
export interface MovesInside {
  readonly moves: Moves
  /** A client has waited for a tenant's next place for too long: whoever was to open it may be gone. */
  hasten(tenantId: string): void
  /** All moves of this process wait for their turn here. */
  readonly turns: Turns
  /** Closes what watches. */
  close(): Promise<void>
}

export function createMoves(workshop: Workshop, plans: Plans): MovesInside {
  const { db, movers } = workshop.catalog
  const turns = createTurns(limits.movesConcurrency)
  const watches: Watch[] = []
  const get = async (key: string): Promise<Move> => {
    const read = parseTenantKey(key)
    const byId = 'id' in read ? await findMove(db, read.id) : null
    if (byId !== null) return byId
    const tenant = await findTenant(db, read)
    const move = tenant === null ? null : await findUnfinishedMove(db, tenant.id)
    const latest =
      move ?? (tenant === null ? null : ((await listMoves(db, { tenantId: tenant.id, limit: 1 }))[0] ?? null))
    if (latest === null) throw new QuickScaleError('MOVE_NOT_FOUND', { move: key })
    return latest
  }
  const ask = async (key: string, request: MoveRequest, options: DriveOptions): Promise<Move> => {
    assertOptions(options)
    const move = await get(key)
    if (outcomes[request].includes(move.state)) return move
    if (!askable[request].includes(move.state) || (request === 'rollback' && move.rollbackUntil === null)) {
      throw new QuickScaleError('MOVE_OVER', { move: move.id, request, state: move.state })
    }
    await requestMove(db, move.id, request)
    const after = await driveMove(workshop, move.id, options)
    if (!outcomes[request].includes(after.state)) {
      throw new QuickScaleError('MOVE_OVER', { move: move.id, request, state: after.state })
    }
    return after
  }
  const moves: Moves = {
    plan: (key, destination) => planMove(workshop, plans, key, destination),
    start: async (key, options) => {
      assertOptions(options)
      const drive = (id: string) => turns(() => driveToArrival(workshop, id, options))
      return await moveTo(workshop, plans, key, options, drive)
    },
    get,
    list: async ({ tenant, unfinished, limit = 100 } = {}) => {
      const found = tenant === undefined ? undefined : await findTenant(db, parseTenantKey(tenant))
      if (found === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenant })
      return await listMoves(db, {
        ...(found === undefined ? {} : { tenantId: found.id }),
        ...(unfinished === undefined ? {} : { unfinished }),
        limit: Math.min(Math.max(1, Math.trunc(limit)), limits.movesPerPageMax),
      })
    },
    cancel: (key, options = {}) => ask(key, 'cancel', options),
    rollback: (key, options = {}) => ask(key, 'rollback', options),
    finish: (key, options = {}) => ask(key, 'finish', options),
    abandon: async (key) => {
      const move = await get(key)
      if (isFinished(move))
        throw new QuickScaleError('MOVE_OVER', { move: move.id, request: 'abandon', state: move.state })
      await movers.holding(move.id, () => abandonMove(workshop, move.id))
      return await get(move.id)
    },
    verify: async (key, { signal } = {}) => {
      const move = await get(key)
      return await movers.holding(move.id, () => verifyMove(workshop, move, signal))
    },
    watch: (options = {}) => {
      const watch = new Watch(workshop, turns, options)
      watches.push(watch)
      return watch
    },
    resume: (options = {}) => resumeMoves(workshop, turns, options),
  }
  const close = async () => void (await Promise.all(watches.map((watch) => watch.close())))
  return { moves, hasten: createHasten(workshop), turns, close }
}

function createHasten(workshop: Workshop): MovesInside['hasten'] {
  const hastened = new Set<string>()
  return (tenantId) => {
    if (hastened.has(tenantId)) return
    hastened.add(tenantId)
    findUnfinishedMove(workshop.catalog.db, tenantId)
      .then((move) => (move === null ? null : driveMove(workshop, move.id)))
      // Who waits is told in the end; the move itself records what is wrong with it.
      .catch(() => undefined)
      .finally(() => hastened.delete(tenantId))
  }
}

async function resumeMoves(workshop: Workshop, turns: Turns, options: DriveOptions): Promise<ResumeReport> {
  assertOptions(options)
  const { db } = workshop.catalog
  const report = { moves: [] as Move[], failed: [] as { move: string; error: unknown }[] }
  const work = async ({ id }: Move) => {
    try {
      const drive = () => {
        // Whoever works on it is not shut out by somebody who has had enough meanwhile.
        options.signal?.throwIfAborted()
        return driveMove(workshop, id, options)
      }
      report.moves.push(await turns(drive))
    } catch (error) {
      report.failed.push({ move: id, error })
    }
  }
  for (let after: string | null = null; ; ) {
    const page: Move[] = await listDueMoves(db, after, limits.movesPerPageMax)
    await Promise.all(page.map(work))
    if (page.length < limits.movesPerPageMax) return report
    after = page.at(-1)?.id ?? null
  }
}

const askable: Readonly<Record<MoveRequest, readonly MoveState[]>> = {
  cancel: ['planned', 'copying', 'streaming', 'cancelling'],
  rollback: ['active', 'returning'],
  finish: ['active', 'purging'],
}

const outcomes: Readonly<Record<MoveRequest, readonly MoveState[]>> = {
  cancel: ['cancelled'],
  rollback: ['returned'],
  finish: ['done'],
}

/** One that waits with its way back open needs nobody. */
export function isDue(move: Move): boolean {
  if (isFinished(move)) return false
  const open = move.state === 'active' && (move.rollbackUntil?.getTime() ?? 0) > Date.now()
  return !open || move.request !== null
}
