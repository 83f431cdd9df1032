import type pg from 'pg'
import { quoteLiteral } from '../../identifiers.ts'
import { limits } from '../../limits.ts'
import type { End } from '../end.ts'
import type { TouchedKeys } from '../stream/touched.ts'
import type { MovedTable } from '../tables.ts'
import { differingTables, digestKeys, digestTables } from './digest.ts'

/** From here on the client sees what is committed now, until {@link releaseSnapshot}. */
export async function takeSnapshot(client: pg.ClientBase): Promise<void> {
  await client.query('begin isolation level repeatable read read only; select 1')
}

export async function releaseSnapshot(client: pg.ClientBase): Promise<void> {
  await client.query('rollback')
}

/** From here on the client sees what an exported snapshot shows. */
export async function importSnapshot(client: pg.ClientBase, snapshot: string): Promise<void> {
  await client.query(
    `begin isolation level repeatable read read only; set transaction snapshot ${quoteLiteral(snapshot)}`,
  )
}

/** A place, as a client sees it. */
interface Seen {
  readonly client: pg.ClientBase
  readonly end: End
}

/** What is compared, and how much of the time it may take. */
export interface Comparison {
  readonly tenantId: string
  readonly tables: readonly MovedTable[]
  /** See {@link restingCondition}. */
  readonly share: number
}

/** Both places' rows, as two clients see them, and in what they differ; one after the other, for those who work beside it. */
export async function compareSnapshots(
  { tenantId, tables, share }: Comparison,
  source: Seen,
  target: Seen,
): Promise<string[]> {
  const digest = ({ client, end }: Seen) =>
    digestTables(client, end.place.schemaName, tables, tenantId, share)
  return differingTables(await digest(source), await digest(target))
}

/** The same of the rows with these keys only, at both places at once. */
export async function compareKeys(
  tables: readonly MovedTable[],
  keys: TouchedKeys,
  source: Seen,
  target: Seen,
): Promise<string[]> {
  const digest = ({ client, end }: Seen) => digestKeys(client, end.place.schemaName, tables, keys)
  const [here, there] = await Promise.all([digest(source), digest(target)])
  return differingTables(here, there)
}

/**
 * Takes what keeps everybody out of the tenant: nobody is inside any more, and nobody comes in before the transaction ends.
 *
 * @param emit a statement to be run in the same message
 */
export async function lockTenant(
  client: pg.ClientBase,
  tenantId: string,
  { lastMs, emit = 'select' }: { lastMs: number; emit?: string },
): Promise<void> {
  await client.query(
    `begin isolation level read committed;
     set local lock_timeout = ${limits.cutoverLockMs};
     set local transaction_timeout = ${lastMs};
     set local synchronous_commit = on;
     select pg_advisory_xact_lock(hashtextextended('quickscale unscoped writers', 0));
     select pg_advisory_xact_lock(hashtextextended(${quoteLiteral(tenantId)}, 0));
     ${emit}`,
  )
}

/** Whether somebody has been inside the tenant for so long that locking it would keep the others waiting. */
export async function isOccupied(client: pg.ClientBase, tenantId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and objsubid = 1 and granted
        and pg_locks.database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32 | objid::bigint) in (
              hashtextextended($1, 0), hashtextextended('quickscale unscoped writers', 0))
        and xact_start < clock_timestamp() - make_interval(secs => $2)
      limit 1`,
    [tenantId, occupiedSeconds],
  )
  return rowCount === 1
}

const occupiedSeconds = 0.05
