import { requireDatabase } from './databases.ts'
import { installationNames, type StrategyHandler } from './strategy.ts'
import { countTenantRows, deleteTenantRows } from './tenant-rows.ts'

/** Rows in the shared tables: the place exists already. */
export const rls: StrategyHandler = {
  name: 'rls',
  choose: async (workshop) => ({
    database: await requireDatabase(workshop, installationNames(workshop.installation).shared),
    schemaName: 'app',
  }),
  build: async () => undefined,
  inspect: (workshop, tenantId, place) =>
    workshop.administrator.pooled(place.database.name, (client) =>
      countTenantRows(client, place.schemaName, tenantId),
    ),
  demolish: (workshop, tenantId, place) =>
    workshop.administrator.pooled(place.database.name, (client) =>
      deleteTenantRows(client, place.schemaName, tenantId),
    ),
}
