import { recordAudit } from '../catalog/audit.ts'
import { countTenantsOn, isDraining, listDatabasesOn, listMovesOf } from '../catalog/servers.ts'
import { QuickScaleError } from '../errors.ts'
import { migrationLock } from '../placements/install.ts'
import { dropDatabase } from '../strategies/databases.ts'
import type { Server } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'

/**
 * Takes away what is no tenant's on a server that is drained, and forgets it; beside no migration and no creation of a tenant. The
 * mark stays in the catalog, so that nothing is made there again while some process still has the server in its configuration.
 *
 * @returns names of the databases that were dropped
 * @throws QuickScaleError `SERVER_IN_USE`
 */
export async function removeServer(workshop: Workshop, { name }: Server): Promise<readonly string[]> {
  const { catalog, servers } = workshop
  const { db } = catalog
  const refuse = (reason: string) => new QuickScaleError('SERVER_IN_USE', { server: name, reason })
  if (name === servers.primary.name) throw refuse('it holds the catalog')
  return await catalog.locked({ exclusive: migrationLock }, async (assertHeld) => {
    if (!(await isDraining(db, name))) throw refuse('it takes tenants; drain it first')
    const tenants = await countTenantsOn(db, name)
    if (tenants > 0) throw refuse(`${tenants} tenants live there`)
    if ((await listMovesOf(db, name, 1)).length > 0) throw refuse('a move has something there')
    const dropped: string[] = []
    for (const record of await listDatabasesOn(db, name)) {
      await assertHeld()
      await dropDatabase(workshop, record)
      await db.deleteFrom('database').where('id', '=', record.id).execute()
      dropped.push(record.name)
    }
    if (dropped.length > 0) {
      await recordAudit(db, { action: 'server.removed', tenantId: null, details: { server: name, dropped } })
    }
    return dropped
  })
}
