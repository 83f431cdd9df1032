/**
 * Databases that are made before their tenants come. Each is a whole place, wall and fence included, for an id that was
 * made up with it; the tenant who claims it gets that id, so that a claim is a matter of the catalog alone.
 */
import { countSilos } from '../catalog/candidates.ts'
import { isDraining } from '../catalog/servers.ts'
import {
  listWarmDatabases,
  offerWarmDatabase,
  registerWarmDatabase,
  type WarmDatabase,
  withholdWarmDatabase,
} from '../catalog/warm-databases.ts'
import { limits } from '../limits.ts'
import { dropDatabase } from '../strategies/databases.ts'
import type { Server } from '../strategies/servers.ts'
import { installationNames, type Workshop } from '../strategies/strategy.ts'
import { openingOf } from './fence.ts'
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
    const { made, dropped } = await warmServer(workshop, server)
    report.made += made
    report.dropped += dropped
  }
  return report
}

/** The same on one server; none wait on one that is drained. */
export async function warmServer(workshop: Workshop, server: Server): Promise<WarmReport> {
  const names = { shared: migrationLock, exclusive: `warm ${server.name}` }
  return await workshop.catalog.locked(names, async (assertHeld) => {
    const report = { made: 0, dropped: 0 }
    const { db } = workshop.catalog
    const shape = await wantedShape(workshop)
    const wanted = await countWanted(workshop, server)
    await registerMissing(workshop, server, wanted)
    for (const [index, warm] of (await listWarmDatabases(db, server.name)).entries()) {
      await assertHeld()
      if (index >= wanted) report.dropped += await drop(workshop, warm)
      else if (warm.shape !== shape) report.made += await finish(workshop, warm, shape)
    }
    return report
  })
}

/**
 * Makes what is missing on each server, one database after the other, and takes nothing away: processes of an older
 * release may run beside this one. What migrate() has yet to bring up to date counts as there.
 *
 * @param signal ends it after the database in the making
 * @returns false when another process was busy with it; then something may be missing still
 */
export async function refillDatabases(workshop: Workshop, signal: AbortSignal): Promise<boolean> {
  const { catalog, servers } = workshop
  const failures: unknown[] = []
  const outcome = await catalog.lockedIfFree({ exclusive: 'refill' }, async () => {
    let whole = true
    for (const server of servers.all.filter(({ warmDatabases }) => warmDatabases > 0)) {
      const filled = await refillServer(workshop, server, signal).catch((error: unknown) => {
        // One server that fails is no reason to leave the others empty.
        failures.push(error)
        return true
      })
      whole &&= filled
    }
    return whole
  })
  if (failures.length > 0) throw failures[0]
  return outcome?.result === true
}

/** Others get in between two databases: a migration, a tenant that wants one made. */
async function refillServer(workshop: Workshop, server: Server, signal: AbortSignal): Promise<boolean> {
  const names = { shared: migrationLock, exclusive: `warm ${server.name}` }
  for (let made = 0; made <= limits.warmDatabasesMax && !signal.aborted; made += 1) {
    const outcome = await workshop.catalog.lockedIfFree(names, () => makeOne(workshop, server))
    if (outcome === null) return false
    if (outcome.result === 0) return true
  }
  return true
}

async function makeOne(workshop: Workshop, server: Server): Promise<number> {
  const { db } = workshop.catalog
  const known = await listWarmDatabases(db, server.name)
  const wanted = await countWanted(workshop, server)
  if (known.length < wanted) await registerWarm(workshop, server)
  const [unfinished] = (await listWarmDatabases(db, server.name)).filter(({ shape }) => shape === null)
  if (unfinished === undefined) return 0
  try {
    return await finish(workshop, unfinished, await wantedShape(workshop))
  } catch (error) {
    // The next attempt begins anew: what this one has cloned may be what makes it fail.
    await drop(workshop, unfinished).catch((cause: unknown) => {
      throw new AggregateError([error, cause], 'a warm database could not be made, nor be taken away again')
    })
    throw error
  }
}

async function countWanted({ catalog }: Workshop, { name, traits, warmDatabases }: Server): Promise<number> {
  if (await isDraining(catalog.db, name)) return 0
  const silos = (await countSilos(catalog.db)).get(name) ?? 0
  return Math.max(0, Math.min(warmDatabases, traits.caps.databases - silos))
}

async function registerMissing(workshop: Workshop, server: Server, wanted: number): Promise<void> {
  const known = (await listWarmDatabases(workshop.catalog.db, server.name)).length
  for (let missing = wanted - known; missing > 0; missing -= 1) await registerWarm(workshop, server)
}

async function registerWarm({ catalog, installation }: Workshop, { name }: Server): Promise<void> {
  const tenantId = crypto.randomUUID()
  const database = installationNames(installation).silo(tenantId)
  await registerWarmDatabase(catalog.db, { server: name, name: database, tenantId })
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
  // It is withheld: nobody else has it.
  const opening = openingOf(tenantId, place, async () => undefined)
  await repeatAfterLostRace(() => handlers.database.build(workshop, tenantId, place, opening))
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
