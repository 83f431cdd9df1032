import { ensureShared } from './shared.ts'
import { openPlace, type StrategyHandler } from './strategy.ts'
import { countTenantRows, deleteTenantRows } from './tenant-rows.ts'

/** Rows in the shared tables: the place exists already. */
export const rls: StrategyHandler = {
  name: 'rls',
  build: async (workshop, _tenantId, place, opening) => {
    await ensureShared(workshop, place)
    if (opening === null) return
    await workshop.servers.pooled(place.database, (client) => openPlace(client, opening))
  },
  inspect: (workshop, tenantId, place) =>
    workshop.servers.pooled(place.database, (client) => countTenantRows(client, place.schemaName, tenantId)),
  demolish: (workshop, tenantId, place) =>
    workshop.servers.pooled(place.database, (client) => deleteTenantRows(client, place.schemaName, tenantId)),
}
