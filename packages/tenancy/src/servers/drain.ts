/**
 * A drain moves everybody away from a server: the server takes no tenant from now on, databases that wait for tenants go, and
 * then each tenant there gets a move of its own, as many at a time as moves ever run. Nothing is remembered but the mark on the
 * server and the moves themselves, so whoever repeats a drain goes on with it.
 */

import { findUnfinishedMove } from '../catalog/moves.ts'
import { findRoute } from '../catalog/places.ts'
import {
  countTenantsOn,
  eachTenantOn,
  isDraining,
  listMovesOf,
  type TenantOnServer,
} from '../catalog/servers.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { isOnTheWay, type Move } from '../move.ts'
import { driveToArrival } from '../moves/arrival.ts'
import { type DriveOptions, driveMove } from '../moves/drive.ts'
import { inLanes } from '../moves/lanes.ts'
import { moveTo } from '../moves/move-to.ts'
import { isDue } from '../moves/moves.ts'
import type { Turns } from '../moves/turns.ts'
import { type Plans, planOf } from '../placements/reserve.ts'
import { warmServer } from '../placements/warm.ts'
import type { Server } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Strategy } from '../tenant.ts'

/** How far a drain is. */
export interface DrainProgress {
  readonly server: string
  /** Tenants that have left the server, and those that were there when it began. */
  readonly moved: number
  readonly total: number
  /** The move of which there is news, and whose it is; null when it is over. */
  readonly tenant: string
  readonly move: Pick<Move, 'id' | 'state' | 'progress'> | null
}

/** How a server is drained. */
export interface DrainOptions extends Omit<DriveOptions, 'onProgress'> {
  /**
   * Milliseconds for which the way back of each move stays open, during which the server keeps what it had of the tenant.
   * @defaultValue 0
   */
  readonly rollbackWindowMs?: number
  /** Called when something has been done. */
  onProgress?(progress: DrainProgress): void
}

/** A tenant that stays, and why. */
export interface LeftTenant {
  /** Its slug. */
  readonly tenant: string
  readonly strategy: Strategy
  readonly error: unknown
}

/** What a drain works with. */
export interface DrainWork {
  readonly workshop: Workshop
  readonly plans: Plans
  readonly turns: Turns
  readonly server: Server
  readonly options: DrainOptions
}

/**
 * Moves everybody away from a server that takes no tenants any more.
 *
 * @returns how many have left, and who could not
 * @throws QuickScaleError `ALREADY_RUNNING`, `DRAIN_CANCELLED`, `LOCK_LOST`
 */
export async function moveEverybody(
  work: DrainWork,
): Promise<{ moved: number; left: ReadonlyMap<string, LeftTenant> }> {
  const { workshop, server } = work
  const outcome = await workshop.catalog.lockedIfFree(
    { exclusive: `drain ${server.name}` },
    async (assertHeld) => {
      await warmServer(workshop, server)
      return await new Drain(work, assertHeld).run()
    },
  )
  if (outcome === null) throw new QuickScaleError('ALREADY_RUNNING', { work: `A drain of ${server.name}` })
  return outcome.result
}

class Drain {
  readonly #work: DrainWork
  readonly #assertHeld: () => Promise<void>
  readonly #left = new Map<string, LeftTenant>()
  #moved = 0
  #total = 0

  constructor(work: DrainWork, assertHeld: () => Promise<void>) {
    this.#work = work
    this.#assertHeld = assertHeld
  }

  async run(): Promise<{ moved: number; left: ReadonlyMap<string, LeftTenant> }> {
    const { workshop, server, options } = this.#work
    this.#total = await countTenantsOn(workshop.catalog.db, server.name)
    let attempted: number
    do {
      // Whoever was being made, or brought back, when the last round began is there now.
      await this.#finishMoves()
      attempted = 0
      await inLanes(this.#tenants(), limits.movesConcurrency, async (tenant) => {
        options.signal?.throwIfAborted()
        await this.#assertWanted()
        attempted += 1
        await this.#moveAway(tenant)
      })
    } while (attempted > 0)
    await this.#assertWanted()
    return { moved: this.#moved, left: this.#left }
  }

  async *#tenants(): AsyncGenerator<TenantOnServer> {
    const { workshop, server } = this.#work
    for await (const tenant of eachTenantOn(workshop.catalog.db, server.name)) {
      if (!this.#left.has(tenant.id)) yield tenant
    }
  }

  /** Somebody else may drain the server, or have it take tenants again. */
  async #assertWanted(): Promise<void> {
    await this.#assertHeld()
    const { workshop, server } = this.#work
    if (await isDraining(workshop.catalog.db, server.name)) return
    throw new QuickScaleError('DRAIN_CANCELLED', { server: server.name })
  }

  async #moveAway(tenant: TenantOnServer): Promise<void> {
    const { id, slug, strategy } = tenant
    const { workshop, server, options } = this.#work
    try {
      await this.#move(tenant)
    } catch (error) {
      options.signal?.throwIfAborted()
      // Somebody else may have moved or deleted it meanwhile.
      const route = await findRoute(workshop.catalog.db, { id })
      if (route?.database.server === server.name) {
        this.#left.set(id, { tenant: slug, strategy, error })
        return
      }
    }
    this.#moved += 1
    this.#tell(slug, null)
  }

  async #move(tenant: TenantOnServer): Promise<void> {
    const { workshop, plans, turns, server } = this.#work
    const { id, slug } = tenant
    const drive = this.#drive(slug)
    const underWay = await findUnfinishedMove(workshop.catalog.db, id)
    if (underWay !== null) {
      if (!isLeaving(underWay, server.name)) throw new QuickScaleError('TENANT_MOVING', { key: slug })
      await turns(() => driveToArrival(workshop, underWay.id, drive))
      return
    }
    assertMovable(server, plans, tenant)
    const { rollbackWindowMs = 0 } = this.#work.options
    const directions = { to: tenant.strategy, rollbackWindowMs, from: { server: server.name } }
    await turns(() =>
      moveTo(workshop, plans, id, directions, (move) => driveToArrival(workshop, move, drive)),
    )
  }

  /** Moves whose tenant has left, or comes back, and that have something to do. One that cannot be finished is reported. */
  async #finishMoves(): Promise<void> {
    const { workshop, server, turns, options } = this.#work
    const moves = await listMovesOf(workshop.catalog.db, server.name, limits.movesPerPageMax)
    const due = moves.filter((move) => isDue(move) && !isOnTheWay(move))
    await inLanes(due, limits.movesConcurrency, async ({ id, tenantId }) => {
      options.signal?.throwIfAborted()
      await this.#assertWanted()
      await turns(() => driveMove(workshop, id, this.#drive(tenantId))).catch((error: unknown) => {
        options.signal?.throwIfAborted()
        if (!(error instanceof QuickScaleError)) throw error
      })
    })
  }

  #drive(tenant: string): DriveOptions {
    const { onProgress: _, rollbackWindowMs: __, ...options } = this.#work.options
    return { ...options, onProgress: (move) => this.#tell(tenant, move) }
  }

  #tell(tenant: string, move: DrainProgress['move']): void {
    const { server, options } = this.#work
    options.onProgress?.({
      server: server.name,
      moved: this.#moved,
      total: Math.max(this.#total, this.#moved),
      tenant,
      move,
    })
  }
}

/** An earlier drain may have begun it. */
function isLeaving(move: Move, server: string): boolean {
  const leaves = move.source.server === server && move.target.server !== server
  return leaves && isOnTheWay(move) && move.request !== 'cancel'
}

/**
 * Only who was pinned to a private server is there. Of a tenant that was so by itself nobody has written down where else it may
 * go.
 *
 * @throws QuickScaleError `PLACEMENT_REFUSED`
 */
export function assertMovable(
  { name, traits }: Pick<Server, 'name' | 'traits'>,
  plans: Plans,
  { slug, plan }: Pick<TenantOnServer, 'slug' | 'plan'>,
): void {
  if (!traits.private || planOf(plans, plan).placement?.server !== undefined) return
  const reasons = `${name} is private, and ${slug} was pinned to it: move it by its name to the server that it is to have`
  throw new QuickScaleError('PLACEMENT_REFUSED', { reasons })
}
