import { assertArray, assertObject } from '../arguments.ts'
import {
  countTenants,
  countTenantsOn,
  listMovesOf,
  listServers,
  listTenantsOn,
  setDraining,
} from '../catalog/servers.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Move } from '../move.ts'
import { assertOptions } from '../moves/drive.ts'
import type { Turns } from '../moves/turns.ts'
import type { Activity } from '../placements/activity.ts'
import type { Plans } from '../placements/reserve.ts'
import { isBroughtServer, type ServerCaps } from '../server-config.ts'
import type { Server } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Strategy } from '../tenant.ts'
import { type DrainOptions, type LeftTenant, moveEverybody } from './drain.ts'
import { type DrainPlan, planDrain } from './drain-plan.ts'
import {
  planRebalance,
  type RebalanceLimits,
  type RebalanceOptions,
  type RebalancePlan,
  type RebalanceReport,
  rebalance,
} from './rebalance/rebalance.ts'
import { removeServer } from './remove-server.ts'
import { databasesOn, examineServer, type ServerDatabase, type ServerDetails } from './server-details.ts'

/** A server of the configuration, and what it is used for. */
export interface ServerSummary {
  readonly name: string
  /** open: it takes tenants, as far as its rules allow. */
  readonly state: 'open' | 'draining'
  /** Null when it is open. */
  readonly drainingSince: Date | null
  readonly region: string | null
  readonly labels: readonly string[]
  readonly private: boolean
  /** How much of the load it is to carry, in relation to others. */
  readonly weight: number
  readonly caps: Readonly<Record<keyof ServerCaps, number>>
  /** How many live there. */
  readonly tenants: Readonly<Record<Strategy, number>>
}

/** What a drain has done, and what is still on the server. */
export interface DrainReport {
  readonly server: string
  /** No tenant, and no move, has anything there any more. */
  readonly drained: boolean
  /** Tenants that have left. */
  readonly moved: number
  readonly left: {
    readonly tenantCount: number
    /** Who could not be moved, and why; the first 1000. */
    readonly tenants: readonly LeftTenant[]
    /** Moves from or to the server that are not finished, most often because their way back is open; the first 1000. */
    readonly moves: readonly Move[]
    /** What is no tenant's. */
    readonly databases: readonly ServerDatabase[]
  }
}

/** The servers of an installation, and who lives on them. */
export interface ServerOperations {
  /** @throws QuickScaleError `NOT_INSTALLED` */
  list(): Promise<ServerSummary[]>
  /**
   * The same of one server, and what is on it. Sizes are measured, which takes longer the more tenants there are.
   *
   * @throws QuickScaleError `SERVER_UNKNOWN`, `SERVER_UNREACHABLE`
   */
  get(server: string): Promise<ServerSummary & ServerDetails>
  /**
   * Where everybody would go if a server were drained now, and who could not; changes nothing.
   *
   * @throws QuickScaleError `SERVER_UNKNOWN`
   * @example
   * const { moves, stuck } = await tenancy.servers.planDrain('frankfurt')
   */
  planDrain(server: string): Promise<DrainPlan>
  /**
   * Has a server take no tenants any more, and moves everybody away, where the rules of placement allow; each tenant keeps its
   * strategy. Repeat it after an interruption, or when what was in the way is gone: it goes on.
   *
   * @throws QuickScaleError `SERVER_UNKNOWN`, `MOVE_OPTION_INVALID`, `ALREADY_RUNNING`, `DRAIN_CANCELLED` when `undrain` comes
   *   between, `LOCK_LOST`
   * @example
   * const { drained, left } = await tenancy.servers.drain('frankfurt')
   * if (!drained) for (const { tenant, error } of left.tenants) console.log(tenant, error)
   */
  drain(server: string, options?: DrainOptions): Promise<DrainReport>
  /**
   * Has a server take tenants again; who was moved stays where it is. A drain that runs begins no further move.
   *
   * @throws QuickScaleError `SERVER_UNKNOWN`
   */
  undrain(server: string): Promise<ServerSummary>
  /**
   * Drops what is no tenant's on a server that is drained: shared databases and the template. Then it may leave the configuration.
   * To have it back, `undrain` it and call `migrate()`.
   *
   * @returns names of the databases that were dropped
   * @throws QuickScaleError `SERVER_UNKNOWN`, `SERVER_IN_USE`, `LOCK_LOST`
   */
  remove(server: string): Promise<readonly string[]>
  /**
   * Which tenants would have to move so that load is spread over servers, and over the shared databases of each of them, with as
   * few moves as possible; each tenant keeps its strategy, and no rule of placement is broken. Changes nothing. A plan that has
   * been carried out leaves nothing to plan, unless it was cut short by `movesMax` or loads have changed.
   *
   * @throws QuickScaleError `REBALANCE_INVALID`, `SERVER_UNREACHABLE`
   * @example
   * const { moves, servers } = await tenancy.servers.planRebalance({ threshold: 0.3 })
   */
  planRebalance(limits?: RebalanceLimits): Promise<RebalancePlan>
  /**
   * Carries a plan out while everybody works. A tenant that has gone elsewhere meanwhile is left alone. What was interrupted is
   * finished by `moves.resume()`.
   *
   * @throws QuickScaleError `MOVE_OPTION_INVALID`, `ALREADY_RUNNING`, `LOCK_LOST`
   * @example
   * const { moved, failed } = await tenancy.servers.rebalance(await tenancy.servers.planRebalance())
   */
  rebalance(plan: RebalancePlan, options?: RebalanceOptions): Promise<RebalanceReport>
}

export function createServerOperations({ workshop, plans, turns, activity }: Tools): ServerOperations {
  const { db } = workshop.catalog
  const list = () => summarize(workshop)
  const find = async (name: string): Promise<ServerSummary> => {
    await configured(workshop, name)
    const summary = (await list()).find((each) => each.name === name)
    if (summary === undefined) throw unknown(workshop, name)
    return summary
  }
  const mark = async (name: string, draining: boolean) => {
    await configured(workshop, name)
    if (!(await setDraining(db, name, draining))) throw unknown(workshop, name)
  }
  return {
    list,
    get: async (name) => ({
      ...(await find(name)),
      ...(await examineServer(workshop, await configured(workshop, name))),
    }),
    planDrain: async (name) => await planDrain(workshop, plans, await configured(workshop, name)),
    drain: async (name, options = {}) => {
      assertOptions(options)
      const server = await configured(workshop, name)
      await mark(name, true)
      const { moved, left } = await moveEverybody({ workshop, plans, turns, server, options })
      return { server: name, moved, ...(await whatIsLeft(workshop, name, left)) }
    },
    undrain: async (name) => {
      await mark(name, false)
      return await find(name)
    },
    remove: async (name) => await removeServer(workshop, await configured(workshop, name)),
    planRebalance: async (wanted = {}) => {
      await activity.flush()
      return await planRebalance(workshop, plans, wanted)
    },
    rebalance: async (plan, options = {}) => {
      assertObject('plan', plan)
      assertArray('plan.moves', plan.moves)
      assertOptions(options)
      return await rebalance({ workshop, plans, turns }, plan, options)
    },
  }
}

interface Tools {
  readonly workshop: Workshop
  readonly plans: Plans
  readonly turns: Turns
  readonly activity: Pick<Activity, 'flush'>
}

/** Of the configuration: a brought database is its customer's, and nobody else is there. */
async function configured(workshop: Workshop, name: string): Promise<Server> {
  if (typeof name !== 'string' || isBroughtServer(name)) throw unknown(workshop, name)
  return await workshop.servers.of(name)
}

function unknown({ servers }: Workshop, server: string): QuickScaleError {
  const known = servers.all.map(({ name }) => name).join(', ')
  return new QuickScaleError('SERVER_UNKNOWN', { server, known })
}

async function summarize({ catalog, servers }: Workshop): Promise<ServerSummary[]> {
  const records = new Map((await listServers(catalog.db)).map((record) => [record.name, record]))
  const counts = await countTenants(catalog.db)
  return servers.all.map(({ name, traits }) => {
    const drainingSince = records.get(name)?.drainingSince ?? null
    return {
      name,
      state: drainingSince === null ? 'open' : 'draining',
      drainingSince,
      region: traits.region ?? null,
      labels: traits.labels,
      private: traits.private,
      weight: traits.weight,
      caps: traits.caps,
      tenants: counts.get(name) ?? { rls: 0, schema: 0, database: 0 },
    }
  })
}

async function whatIsLeft(
  workshop: Workshop,
  name: string,
  attempted: ReadonlyMap<string, LeftTenant>,
): Promise<Pick<DrainReport, 'drained' | 'left'>> {
  const { db } = workshop.catalog
  const tenantCount = await countTenantsOn(db, name)
  const moves = await listMovesOf(db, name, limits.movesPerPageMax)
  const present = await listTenantsOn(db, name)
  // One that came in this moment is none of those that were tried.
  const tenants = present.map(
    ({ id, slug, strategy }) =>
      attempted.get(id) ?? {
        tenant: slug,
        strategy,
        error: new QuickScaleError('TENANT_MOVING', { key: slug }),
      },
  )
  const databases = (await databasesOn(workshop, name)).filter(({ kind }) => kind !== 'silo')
  return {
    drained: tenantCount === 0 && moves.length === 0,
    left: { tenantCount, tenants, moves, databases },
  }
}
