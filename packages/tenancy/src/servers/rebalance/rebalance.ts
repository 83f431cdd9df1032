import { QuickScaleError } from '../../errors.ts'
import { limits } from '../../limits.ts'
import type { Move } from '../../move.ts'
import { driveToArrival } from '../../moves/arrival.ts'
import type { DriveOptions } from '../../moves/drive.ts'
import { inLanes } from '../../moves/lanes.ts'
import { moveTo } from '../../moves/move-to.ts'
import type { Turns } from '../../moves/turns.ts'
import type { Plans } from '../../placements/reserve.ts'
import type { Workshop } from '../../strategies/strategy.ts'
import type { Strategy } from '../../tenant.ts'
import { type SpreadMove, spreadLoad } from './spread.ts'
import { type Survey, surveyLoad, type WeighedTenant } from './survey.ts'

/** What is too much, and how much may be done about it. */
export interface RebalanceLimits {
  /** How far above the average a load may be, as a part of the average, 0.05 to 10. @defaultValue 0.2 */
  readonly threshold?: number
  /** Moves of one plan, 1 to 1000. @defaultValue 10 */
  readonly movesMax?: number
  /** How much of a load is activity, 0 to 1; the rest is size. @defaultValue 0.5 */
  readonly activityPart?: number
}

/** One tenant that would move. */
export interface RebalanceMove {
  /** Its slug, and its id. */
  readonly tenant: string
  readonly tenantId: string
  readonly strategy: Strategy
  /** How big it is; of one in shared tables an estimate by its rows. */
  readonly bytes: number
  /** Milliseconds for which its work has had a connection, fading within a week. */
  readonly busyMs: number
  /** Its part of the load of all servers, 0 to 1. */
  readonly load: number
  readonly source: { readonly server: string; readonly database: string }
  /** database: null when it gets one of its own. */
  readonly target: { readonly server: string; readonly database: string | null }
}

/** Which tenants are to move so that load is spread, and what comes of it. */
export interface RebalancePlan {
  readonly moves: readonly RebalanceMove[]
  /** Each server's part of the load of all of them, 0 to 1, before and after; those that are drained are left out. */
  readonly servers: readonly {
    readonly server: string
    /** How much it is to carry, in relation to the others. */
    readonly weight: number
    readonly before: number
    readonly after: number
  }[]
}

/** What came of a plan. */
export interface RebalanceReport {
  readonly moved: readonly RebalanceMove[]
  readonly failed: readonly { readonly tenant: string; readonly error: unknown }[]
}

/** How a plan is carried out. */
export interface RebalanceOptions extends Omit<DriveOptions, 'onProgress'> {
  /** Milliseconds for which the way back of each move stays open. @defaultValue 0 */
  readonly rollbackWindowMs?: number
  /** Called when something has been done; `move` is null when the tenant has arrived. */
  onProgress?(progress: {
    readonly moved: number
    readonly total: number
    readonly tenant: string
    readonly move: Pick<Move, 'id' | 'state' | 'progress'> | null
  }): void
}

/** Looks at all servers; changes nothing. @throws QuickScaleError `REBALANCE_INVALID`, `SERVER_UNREACHABLE` */
export async function planRebalance(
  workshop: Workshop,
  plans: Plans,
  {
    threshold = limits.rebalanceThreshold,
    movesMax = limits.rebalanceMoves,
    activityPart = limits.rebalanceActivityPart,
  }: RebalanceLimits,
): Promise<RebalancePlan> {
  assertWithin('threshold', threshold, 0.05, 10)
  assertWithin('movesMax', movesMax, 1, limits.rebalanceMovesMax)
  assertWithin('activityPart', activityPart, 0, 1)
  const survey = await surveyLoad(workshop, plans, activityPart)
  const moves = spreadLoad(survey.balanced, { threshold, movesMax: Math.trunc(movesMax) })
  return describe(survey, moves)
}

function assertWithin(field: string, value: unknown, min: number, max: number): void {
  if (typeof value === 'number' && value >= min && value <= max) return
  throw new QuickScaleError('REBALANCE_INVALID', { field, range: `${min} to ${max}` })
}

function describe({ balanced, tenants, databaseNames }: Survey, moves: readonly SpreadMove[]): RebalancePlan {
  const loads = new Map(balanced.servers.map(({ name, rest }) => [name, rest]))
  const add = (server: string, load: number) => loads.set(server, (loads.get(server) ?? 0) + load)
  for (const { server, rest } of balanced.databases) add(server, rest)
  for (const { server, load } of balanced.tenants) add(server, load)
  const before = new Map(loads)
  const described = moves.flatMap(({ tenantId, server, databaseId }) => {
    const tenant = tenants.get(tenantId)
    if (tenant === undefined) return []
    add(tenant.database.server, -tenant.load)
    add(server, tenant.load)
    return [
      describeMove(tenant, {
        server,
        database: databaseId === null ? null : (databaseNames.get(databaseId) ?? null),
      }),
    ]
  })
  const servers = balanced.servers.map(({ name, capacity }) => ({
    server: name,
    weight: capacity,
    before: before.get(name) ?? 0,
    after: loads.get(name) ?? 0,
  }))
  return { moves: described, servers }
}

function describeMove(
  { id, slug, strategy, bytes, busyMs, load, database }: WeighedTenant,
  target: RebalanceMove['target'],
): RebalanceMove {
  const source = { server: database.server, database: database.name }
  return {
    tenant: slug,
    tenantId: id,
    strategy,
    bytes: Math.round(bytes),
    busyMs: Math.round(busyMs),
    load,
    source,
    target,
  }
}

/**
 * Makes the moves of a plan, as many at a time as moves ever run. What another one has to make room for is tried again when the
 * others have ended. One that fails is no reason to leave out the others.
 *
 * @throws QuickScaleError `ALREADY_RUNNING`, `LOCK_LOST`
 */
export async function rebalance(
  { workshop, plans, turns }: { workshop: Workshop; plans: Plans; turns: Turns },
  { moves }: RebalancePlan,
  { rollbackWindowMs = 0, onProgress, ...drive }: RebalanceOptions = {},
): Promise<RebalanceReport> {
  const moved: RebalanceMove[] = []
  const tell = (tenant: string, move: Pick<Move, 'id' | 'state' | 'progress'> | null) =>
    onProgress?.({ moved: moved.length, total: moves.length, tenant, move })
  const outcome = await workshop.catalog.lockedIfFree({ exclusive: 'rebalance' }, async (assertHeld) => {
    const failed: { tenant: string; error: unknown }[] = []
    let waiting: readonly RebalanceMove[] = moves
    for (;;) {
      const full: { planned: RebalanceMove; error: unknown }[] = []
      await inLanes(waiting, limits.movesConcurrency, async (planned) => {
        drive.signal?.throwIfAborted()
        await assertHeld()
        const { tenant, tenantId, strategy, source, target } = planned
        try {
          const directions = {
            to: strategy,
            rollbackWindowMs,
            server: target.server,
            from: source,
            ...(target.database === null ? {} : { database: target.database }),
          }
          const onProgress = (move: Pick<Move, 'id' | 'state' | 'progress'>) => tell(tenant, move)
          await turns(() =>
            moveTo(workshop, plans, tenantId, directions, (id) =>
              driveToArrival(workshop, id, { ...drive, onProgress }),
            ),
          )
        } catch (error) {
          drive.signal?.throwIfAborted()
          if (isFull(error)) full.push({ planned, error })
          else failed.push({ tenant, error })
          return
        }
        moved.push(planned)
        tell(tenant, null)
      })
      if (full.length === 0 || full.length === waiting.length) {
        return [...failed, ...full.map(({ planned, error }) => ({ tenant: planned.tenant, error }))]
      }
      waiting = full.map(({ planned }) => planned)
    }
  })
  if (outcome === null) throw new QuickScaleError('ALREADY_RUNNING', { work: 'A rebalancing' })
  return { moved, failed: outcome.result }
}

function isFull(error: unknown): boolean {
  return error instanceof QuickScaleError && error.code === 'PLACEMENT_REFUSED'
}
