import pg from 'pg'
import { registerDatabase } from '../catalog/places.ts'
import { isDraining } from '../catalog/servers.ts'
import { offerWarmDatabase } from '../catalog/warm-databases.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { upgradeObjects } from '../sql-files.ts'
import { assertServer, makeGroupRoles } from '../strategies/administrator.ts'
import { alignKeys, buildDatabase } from '../strategies/databases.ts'
import { installationNames, type Workshop } from '../strategies/strategy.ts'
import { type BroughtFailure, inEachBrought } from './brought-failures.ts'
import { claimMasterKey } from './claim-master-key.ts'
import type { Plans } from './reserve.ts'
import { wantedShape } from './shape.ts'
import {
  type LocatedTarget,
  type PrivateTarget,
  privateTargets,
  sharedTargets,
  warmTargets,
} from './targets.ts'

/** Held by whoever migrates; shared by whoever provisions. */
export const migrationLock = 'migrate'

/** What {@link migrateInstallation} found to do. */
export interface MigrationReport {
  /** Places that were brought up to date: shared tables, template, tenants' schemas and databases. */
  readonly places: number
  /** Migrations applied, all places together. */
  readonly applied: number
  /** Tenants whose brought database could not be brought up to date; the next call tries again. */
  readonly failed: readonly BroughtFailure[]
}

/**
 * Makes an installation, or brings it up to date: roles, catalog, shared database, silo template, and the tables
 * of every place. Does nothing where nothing is to be done.
 */
export async function migrateInstallation(workshop: Workshop, plans: Plans): Promise<MigrationReport> {
  const systems = await assertDistinct(workshop)
  for (const { name } of workshop.servers.all) await prepareServer(workshop, name)
  await makeCatalog(workshop)
  await workshop.catalog.upgrade()
  return await workshop.catalog.locked({ exclusive: migrationLock }, async () => {
    await claimMasterKey(workshop)
    await recordServersAndPlans(workshop, plans, systems)
    return await migratePlaces(workshop)
  })
}

async function migratePlaces(workshop: Workshop): Promise<MigrationReport> {
  const report = { places: 0, applied: 0, failed: [] as readonly BroughtFailure[] }
  const count = (applied: number) => {
    report.places += 1
    report.applied += applied
  }
  const files = await workshop.migrations()
  for (const { database, target } of await sharedTargets(workshop.catalog.db)) {
    await buildDatabase(workshop, database, async (client) => {
      count(await applyMigrations(client, target, files))
    })
  }
  report.failed = await migratePrivatePlaces(workshop, count)
  return report
}

/**
 * One server under two names would have its databases and logins made, and keyed, twice.
 *
 * @returns the identifiers of the servers' data directories, by name
 * @throws QuickScaleError `SERVER_UNSUITABLE`
 */
async function assertDistinct({ servers }: Workshop): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>()
  const systems = new Map<string, string>()
  for (const { name } of servers.all) {
    // A copy of a data directory has the identifier of its original, but was not started in the same microsecond.
    const { rows } = await servers.onServer(name, (client) =>
      client.query<{ system: string; startedAt: string }>(
        `select system_identifier::text as system,
                extract(epoch from pg_postmaster_start_time())::text as "startedAt" from pg_control_system()`,
      ),
    )
    const { system = '', startedAt = '' } = rows[0] ?? {}
    const identity = `${system} ${startedAt}`
    const other = known.get(identity)
    if (other !== undefined) {
      throw new QuickScaleError('SERVER_UNSUITABLE', { reason: `${name} and ${other} are the same server` })
    }
    known.set(identity, name)
    systems.set(name, system)
  }
  return systems
}

async function prepareServer({ servers }: Workshop, name: string): Promise<void> {
  await servers.onServer(name, async (client) => {
    await assertServer(client)
    await makeGroupRoles(client)
  })
}

async function makeCatalog({ servers, installation }: Workshop): Promise<void> {
  const { catalog: catalogName } = installationNames(installation)
  await servers.onServer(servers.primary.name, async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [catalogName])
    if (rowCount === 0) {
      const name = quoteIdentifier(catalogName)
      await client.query(`create database ${name} template template0`).catch((error: unknown) => {
        if (!(error instanceof pg.DatabaseError && error.code === '42P04')) throw error
      })
      await client.query(`revoke all on database ${name} from public`)
    }
  })
}

async function recordServersAndPlans(
  workshop: Workshop,
  plans: Plans,
  systems: ReadonlyMap<string, string>,
): Promise<void> {
  const { db } = workshop.catalog
  const { shared, template } = installationNames(workshop.installation)
  for (const { name, administrator } of workshop.servers.all) {
    const { host, port } = administrator
    const address = { host, port, system: systems.get(name) ?? null }
    await db
      .insertInto('server')
      .values({ name, ...address })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(address))
      .execute()
    // One that is drained may have been removed: nothing is made there.
    if (await isDraining(db, name)) continue
    await registerDatabase(db, { serverName: name, name: shared, kind: 'shared', loginRole: shared })
    await registerDatabase(db, { serverName: name, name: template, kind: 'template', loginRole: template })
  }
  for (const [id, { strategy }] of Object.entries(plans)) {
    await db
      .insertInto('plan')
      .values({ id, strategy })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ strategy }))
      .execute()
  }
}

/** Brought databases come last: their servers may be slow, or away. */
async function migratePrivatePlaces(
  workshop: Workshop,
  count: (applied: number) => void,
): Promise<BroughtFailure[]> {
  const { db } = workshop.catalog
  const brought: PrivateTarget[] = []
  for await (const target of privateTargets(db)) {
    if (target.database.brought) brought.push(target)
    else count(await migratePlace(workshop, target))
  }
  const shape = await wantedShape(workshop)
  for (const target of await warmTargets(db)) {
    count(await migratePlace(workshop, target))
    await offerWarmDatabase(db, target.database.id, shape)
  }
  return await inEachBrought(
    brought,
    ({ tenantId }) => tenantId,
    async (target) => count(await migratePlace(workshop, target)),
  )
}

async function migratePlace(workshop: Workshop, { database, target }: LocatedTarget): Promise<number> {
  const files = await workshop.migrations()
  return await workshop.servers.connected(database, async (client) => {
    if (target.wall.kind === 'database') await upgradeObjects(client, 'tenant-database', 'quickscale')
    // It may have been away while keys were rotated, or been restored from a backup of before.
    if (target.wall.kind === 'database') await alignKeys(workshop, client, database.id)
    return await applyMigrations(client, target, files)
  })
}
