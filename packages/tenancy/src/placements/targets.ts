import type { Catalog } from '../catalog/catalog.ts'
import { type DatabaseRecord, listPrivatePlacements } from '../catalog/places.ts'
import { listCommonDatabases } from '../catalog/survey.ts'
import { listWarmDatabases } from '../catalog/warm-databases.ts'
import { limits } from '../limits.ts'
import type { MigrationTarget } from '../migrations/apply.ts'

/** A place, and the database it is in. */
export interface LocatedTarget {
  readonly database: DatabaseRecord
  readonly target: MigrationTarget
}

/** The place of one tenant. */
export interface PrivateTarget extends LocatedTarget {
  readonly tenantId: string
}

/** The places that no tenant has for itself: shared tables, and the templates of databases. */
export async function sharedTargets(db: Catalog['db']): Promise<LocatedTarget[]> {
  return (await listCommonDatabases(db)).map((database) => ({
    database,
    target: {
      databaseName: database.name,
      schema: 'app',
      wall: database.kind === 'shared' ? { kind: 'rls' } : { kind: 'database', tenantId: null },
    },
  }))
}

/** The places of tenants that have one for themselves, page by page. */
export async function* privateTargets(db: Catalog['db']): AsyncGenerator<PrivateTarget> {
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
      const target = { databaseName: database.name, schema: placement.schemaName, wall }
      yield { tenantId: placement.tenantId, database, target }
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.placement.tenantId ?? null) : null
  } while (after !== null)
}

/** The places that wait for their tenants. One in the making is finished by who makes it, fence and all. */
export async function warmTargets(db: Catalog['db']): Promise<LocatedTarget[]> {
  return (await listWarmDatabases(db))
    .filter(({ record, shape }) => record.ready && shape !== null)
    .map(({ record, tenantId }) => ({
      database: record,
      target: { databaseName: record.name, schema: 'app', wall: { kind: 'database', tenantId } },
    }))
}
