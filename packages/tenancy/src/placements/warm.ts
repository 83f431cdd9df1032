/**
 * Databases that are made before their tenants come. Each is a whole place, wall and fence included, for an id that was
 * made up with it; the tenant who claims it gets that id, so that a claim is a matter of the catalog alone.
 */
import { countSilos } from '../catalog/candidates.ts'
import {
  listWarmDatabases,
  offerWarmDatabase,
  registerWarmDatabase,
  type WarmDatabase,
  withholdWarmDatabase,
} from '../catalog/warm-databases.ts'
import { dropDatabase } from '../strategies/databases.ts'
import type { Server } from '../strategies/servers.ts'
import { installationNames, type Workshop } from '../strategies/strategy.ts'
import { openFence } from './fence.ts'
import { handlers } from './handlers.ts'
import { migrationLock } from './install.ts'
import { repeatAfterLostRace } from './lost-race.ts'
import { wantedShape } from './shape.ts'

/** What was done for the databases that wait for tenants. */
export interface WarmReport {
  /** Made, or brought up to date. */
  readonly made: number
  /** Taken away, because the configuration asks for fewer. */
  readonly dropped: number
}

/** Makes as many databases wait on each server as its configuration asks for. */
export async function warmDatabases(workshop: Workshop): Promise<WarmReport> {
  const report = { made: 0, dropped: 0 }
  for (const server of workshop.servers.all) {
    const names = { shared: migrationLock, exclusive: `warm ${server.name}` }
    await workshop.catalog.locked(names, async (assertHeld) => {
      const { db } = workshop.catalog
      const shape = await wantedShape(workshop)
      const silos = (await countSilos(db)).get(server.name) ?? 0
      const wanted = Math.max(0, Math.min(server.warmDatabases, server.traits.caps.databases - silos))
      await registerMissing(workshop, server, wanted)
      for (const [index, warm] of (await listWarmDatabases(db, server.name)).entries()) {
        await assertHeld()
        if (index >= wanted) report.dropped += await drop(workshop, warm)
        else if (warm.shape !== shape) report.made += await finish(workshop, warm, shape)
      }
    })
  }
  return report
}

async function registerMissing(workshop: Workshop, { name }: Server, wanted: number): Promise<void> {
  const { db } = workshop.catalog
  const known = (await listWarmDatabases(db, name)).length
  for (let missing = wanted - known; missing > 0; missing -= 1) {
    const tenantId = crypto.randomUUID()
    const database = installationNames(workshop.installation).silo(tenantId)
    await registerWarmDatabase(db, { server: name, name: database, tenantId })
  }
}

/** Withheld first: whoever claimed it now would have it under our hands. */
async function finish(
  workshop: Workshop,
  { record, tenantId }: WarmDatabase,
  shape: string,
): Promise<number> {
  const { catalog } = workshop
  if (!(await withholdWarmDatabase(catalog.db, record.id))) return 0
  const database = { ...record, kind: 'silo', ready: false } as const
  const place = { database, schemaName: 'app' }
  const placement = { tenantId, epoch: 1, schemaName: place.schemaName }
  await repeatAfterLostRace(() =>
    handlers.database.build(workshop, tenantId, place, (client) => openFence(client, placement)),
  )
  await offerWarmDatabase(catalog.db, record.id, shape)
  return 1
}

async function drop(workshop: Workshop, { record }: WarmDatabase): Promise<number> {
  const { db } = workshop.catalog
  if (!(await withholdWarmDatabase(db, record.id))) return 0
  await dropDatabase(workshop, record)
  await db.deleteFrom('database').where('id', '=', record.id).where('kind', '=', 'warm').execute()
  return 1
}
