import { type DriftDifference, findDrift, type References } from '../migrations/drift.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type BroughtFailure, inEachBrought } from './brought-failures.ts'
import {
  type LocatedTarget,
  type PrivateTarget,
  privateTargets,
  sharedTargets,
  warmTargets,
} from './targets.ts'

/** A difference, and the place where it is. */
export interface PlaceDrift extends DriftDifference {
  /** Name of the database's server. */
  readonly server: string
  readonly database: string
  readonly schema: string
  /** Of the only tenant of the place; null for shared tables and the template. */
  readonly tenantId: string | null
}

/** What {@link findInstallationDrift} found; plain data, made for JSON. */
export interface DriftReport {
  readonly ok: boolean
  /** Places that were compared. */
  readonly places: number
  readonly differences: readonly PlaceDrift[]
  /** Tenants whose brought database could not be compared. */
  readonly failed: readonly BroughtFailure[]
}

/** Compares each place of an installation with what the migrations it has make. Changes nothing. */
export async function findInstallationDrift(workshop: Workshop): Promise<DriftReport> {
  const files = await workshop.migrations()
  const references = new Map<string, References>()
  const differences: PlaceDrift[] = []
  let places = 0
  const compare = async ({ database, target }: LocatedTarget) => {
    // Servers of different versions print the same thing differently.
    const known = references.get(database.server) ?? new Map()
    references.set(database.server, known)
    const found = await workshop.servers.connected(database, (client) =>
      findDrift(client, target, files, known),
    )
    places += 1
    const tenantId = target.wall.kind === 'rls' ? null : target.wall.tenantId
    const where = { server: database.server, database: database.name, schema: target.schema, tenantId }
    differences.push(...found.map((difference) => ({ ...where, ...difference })))
  }
  const brought: PrivateTarget[] = []
  for await (const target of allTargets(workshop)) {
    if (target.database.brought && 'tenantId' in target) brought.push(target)
    else await compare(target)
  }
  const failed = await inEachBrought(brought, ({ tenantId }) => tenantId, compare)
  return { ok: differences.length === 0 && failed.length === 0, places, differences, failed }
}

async function* allTargets(workshop: Workshop): AsyncGenerator<LocatedTarget | PrivateTarget> {
  yield* await sharedTargets(workshop.catalog.db)
  yield* privateTargets(workshop.catalog.db)
  yield* await warmTargets(workshop.catalog.db)
}
