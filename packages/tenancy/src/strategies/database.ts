import { inTransaction } from '../in-transaction.ts'
import { raiseSiloWall } from '../layout/compile.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { buildDatabase, dropDatabase, inspectDatabase, isOpen } from './databases.ts'
import type { StrategyHandler } from './strategy.ts'
import { countTenantRows } from './tenant-rows.ts'

/** A database of its own, with a login role of its own, cloned from the installation's template. */
export const database: StrategyHandler = {
  name: 'database',
  build: async (workshop, tenantId, place) => {
    const files = await workshop.migrations()
    await buildDatabase(workshop, place.database, async (client) => {
      const target = { databaseName: place.database.name, schema: place.schemaName }
      await inTransaction(client, () => raiseSiloWall(client, { schema: place.schemaName, tenantId }))
      await applyMigrations(client, { ...target, wall: { kind: 'database', tenantId } }, files)
    })
  },
  inspect: async (workshop, tenantId, { database: record, schemaName }) => {
    const found = await inspectDatabase(workshop, record)
    if (!(await isOpen(workshop, record))) return found
    const rows = await workshop.servers.connected(record, (client) =>
      countTenantRows(client, schemaName, tenantId),
    )
    return [...found, ...rows]
  },
  demolish: (workshop, _tenantId, place) => dropDatabase(workshop, place.database),
}
