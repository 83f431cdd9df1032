import type pg from 'pg'
import { applyMigrations } from '../migrations/apply.ts'
import { buildDatabase, dropDatabase, inspectDatabase, isOpen } from './databases.ts'
import { raiseKnownWall, raiseWall } from './silo-wall.ts'
import { openPlace, type StrategyHandler } from './strategy.ts'
import { countTenantRows } from './tenant-rows.ts'

/** A database of its own, with a login role of its own, cloned from the installation's template, or brought by the customer. */
export const database: StrategyHandler = {
  name: 'database',
  build: async (workshop, tenantId, place, opening) => {
    const files = await workshop.migrations()
    const furnish = async (client: pg.ClientBase) => {
      // A brought one is no clone: its tables get their wall as the migrations make them.
      if (!place.database.brought) {
        if (await raiseKnownWall(workshop, client, { tenantId, place }, files)) return
        await raiseWall(workshop, client, { tenantId, place }, files)
      }
      const target = { databaseName: place.database.name, schema: place.schemaName }
      await applyMigrations(client, { ...target, wall: { kind: 'database', tenantId } }, files)
    }
    await buildDatabase(workshop, place.database, furnish, (client) => openPlace(client, opening))
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
