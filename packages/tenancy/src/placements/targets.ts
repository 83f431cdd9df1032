import type { Catalog } from '../catalog/catalog.ts'
import { listPrivatePlacements } from '../catalog/places.ts'
import { limits } from '../limits.ts'
import type { MigrationTarget } from '../migrations/apply.ts'
import { installationNames } from '../strategies/strategy.ts'

/** The places that no tenant has for itself: shared tables, and the template of databases. */
export function sharedTargets(installation: string): readonly MigrationTarget[] {
  const names = installationNames(installation)
  return [
    { databaseName: names.shared, schema: 'app', wall: { kind: 'rls' } },
    { databaseName: names.template, schema: 'app', wall: { kind: 'database', tenantId: null } },
  ]
}

/** The places of tenants that have one for themselves, page by page. */
export async function* privateTargets(db: Catalog['db']): AsyncGenerator<MigrationTarget> {
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<typeof listPrivatePlacements>> = await listPrivatePlacements(
      db,
      after,
      limits.tenantsPerPageMax,
    )
    for (const { placement, database } of page) {
      const kind = database.kind === 'silo' ? 'database' : 'schema'
      const wall = { kind, tenantId: placement.tenantId } as const
      yield { databaseName: database.name, schema: placement.schemaName, wall }
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.placement.tenantId ?? null) : null
  } while (after !== null)
}
