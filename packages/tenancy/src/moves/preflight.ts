import type pg from 'pg'
import { findUnfinishedMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { limits } from '../limits.ts'
import type { Placed } from '../placements/reserve.ts'
import { installationNames, type Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { findStrayRows } from './stray-rows.ts'
import { countRows, differencesBetween, type MovedTable, readTables } from './tables.ts'

/** How much there is to move. */
export interface TenantSize {
  readonly tables: number
  readonly rows: number
}

/**
 * What is in the way of a move, in words that name it; changes nothing.
 *
 * @throws QuickScaleError `TENANT_MOVING`
 */
export async function findObstacles(
  workshop: Workshop,
  tenant: Tenant,
  source: Placed,
  target: Placed,
): Promise<{ size: TenantSize; obstacles: string[] }> {
  if ((await findUnfinishedMove(workshop.catalog.db, tenant.id)) !== null) {
    throw new QuickScaleError('TENANT_MOVING', { key: tenant.slug })
  }
  const { servers } = workshop
  const { tables, rows, obstacles } = await servers.connected(source.place.database, async (client) => {
    const found = await readTables(client, source.place.schemaName)
    return {
      tables: found,
      rows: await countRows(client, source.place.schemaName, found, tenant.id, 1),
      obstacles: [
        ...(await findServerObstacles(client, source.place.database.server)),
        ...keyless(found),
        ...([source, target].some(({ strategy }) => strategy === 'rls') ? cachedAhead(found) : []),
        ...(await findStrayRows(client, source.strategy, tenant.id)),
      ],
    }
  })
  const remote = source.place.database.server !== target.place.database.server
  const there = remote
    ? await servers.onServer(target.place.database.server, (client) =>
        findServerObstacles(client, target.place.database.server),
      )
    : []
  const reference = await readReference(workshop, target)
  return {
    size: { tables: tables.length, rows },
    obstacles: [...obstacles, ...there, ...(reference === null ? [] : differencesBetween(tables, reference))],
  }
}

/** Tables as the target will have them: those of its database, or of the template it is made from. */
async function readReference(workshop: Workshop, { strategy, place }: Placed): Promise<MovedTable[] | null> {
  if (strategy !== 'database' && !place.database.ready) return null
  const { template } = installationNames(workshop.installation)
  const database =
    strategy === 'database' ? { server: place.database.server, name: template } : place.database
  return await workshop.servers.connected(database, (client) => readTables(client, 'app'))
}

function keyless(tables: readonly MovedTable[]): string[] {
  return tables
    .filter(({ key }) => key.length === 0)
    .map(({ name }) => `table ${name} has no primary key, by which a changed row could be found`)
}

/**
 * Sessions that have drawn ids of a shared sequence ahead hand them out later, whatever the sequence is pushed to: the tenant may
 * have these ids by then.
 */
function cachedAhead(tables: readonly MovedTable[]): string[] {
  return tables.flatMap(({ name, sequences }) =>
    sequences
      .filter(({ cached }) => cached)
      .map(
        ({ column }) =>
          `the sequence of ${name}.${column} has a CACHE, from which sessions would give out ids that the tenant has: ALTER TABLE ${quoteIdentifier(name)} ALTER ${quoteIdentifier(column)} SET CACHE 1`,
      ),
  )
}

interface Facts {
  readonly version: number
  readonly walLevel: string
  readonly freeSlots: number
  readonly replicates: boolean
  readonly replaces: boolean
  /** Of the roles it takes to see what others do, and to end it: those that the administrator is no member of. */
  readonly lacking: readonly string[]
  readonly user: string
  readonly prepared: readonly string[]
  readonly old: readonly number[]
}

async function findServerObstacles(client: pg.ClientBase, server: string): Promise<string[]> {
  const { rows } = await client.query<Facts>(
    `select current_setting('server_version_num')::integer / 10000 as version,
            current_setting('wal_level') as "walLevel",
            least(current_setting('max_replication_slots')::integer - (select count(*) from pg_replication_slots),
                  current_setting('max_wal_senders')::integer - (select count(*) from pg_stat_replication))::integer
              as "freeSlots",
            rolsuper or rolreplication as replicates,
            rolsuper or case when current_setting('server_version_num')::integer >= 150000
                             then has_parameter_privilege('session_replication_role', 'set') end as replaces,
            array(select name from unnest(array['pg_read_all_stats', 'pg_signal_backend']) as name
                   where not rolsuper and not pg_has_role(name, 'usage')) as lacking,
            rolname::text as user,
            array(select gid::text from pg_prepared_xacts where database = current_database()) as prepared,
            array(select pid from pg_stat_activity
                   where xact_start < now() - make_interval(secs => $1) and backend_xid is not null) as old
       from pg_roles where rolname = current_user`,
    [limits.slotWaitMs / 1000],
  )
  const [facts] = rows
  if (facts === undefined) return [`the administrator of ${server} has no role`]
  const user = quoteIdentifier(facts.user)
  return [
    ...(facts.version < versionMin
      ? [`${server} is version ${facts.version}, and moves need ${versionMin}`]
      : []),
    ...(facts.walLevel === 'logical' ? [] : [`wal_level of ${server} is ${facts.walLevel}, not logical`]),
    ...(facts.freeSlots >= slotsNeeded
      ? []
      : [
          `${server} has ${facts.freeSlots} free replication slots of the ${slotsNeeded} needed: raise max_replication_slots and max_wal_senders`,
        ]),
    ...(facts.replicates
      ? []
      : [`the administrator of ${server} may not replicate: ALTER ROLE ${user} REPLICATION`]),
    ...(facts.replaces
      ? []
      : [
          `the administrator of ${server} may not switch triggers off: GRANT SET ON PARAMETER session_replication_role TO ${user}`,
        ]),
    ...facts.lacking.map(
      (role) =>
        `the administrator of ${server} cannot see or end what holds the tenant's lock: GRANT ${role} TO ${user}`,
    ),
    ...facts.prepared.map(
      (gid) =>
        `prepared transaction ${gid} on ${server} may hold the tenant's lock: commit it or roll it back`,
    ),
    ...facts.old.map((pid) => `process ${pid} of ${server} has had a transaction open for a minute: end it`),
  ]
}

/** transaction_timeout, and markers that are flushed. */
const versionMin = 17
/** One for the way there, one for the way back. */
const slotsNeeded = 2
