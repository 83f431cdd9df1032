import pg from 'pg'
import { QuickScaleError } from '../../errors.ts'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../identifiers.ts'
import { limits } from '../../limits.ts'
import type { Strategy } from '../../tenant.ts'
import type { MovedTable } from '../tables.ts'

/** A slot that was just made, and the snapshot of the rows it begins after. */
export interface NewSlot {
  /** Everything that was committed before is in the snapshot, everything else comes out of the slot. */
  readonly consistentPoint: string
  readonly snapshot: string
}

/**
 * Publishes a tenant's rows. Before its slot: what is decoded looks at the publications of its own time.
 *
 * @param client an administrator's connection to the database
 */
export async function makePublication(
  client: pg.ClientBase,
  publication: string,
  { strategy, schema, tenantId }: { strategy: Strategy; schema: string; tenantId: string },
  tables: readonly MovedTable[],
): Promise<void> {
  // The filter's column is part of every primary key, or an UPDATE of any tenant would fail.
  const filter = strategy === 'rls' ? ` where (tenant_id = ${quoteLiteral(tenantId)})` : ''
  const published = tables.map(({ name }) => `${quoteQualified(schema, name)}${filter}`)
  const what = published.length === 0 ? '' : `for table ${published.join(', ')}`
  // TRUNCATE asks no filter; tenants have no right to it.
  await client.query(
    `create publication ${quoteIdentifier(publication)} ${what}
       with (publish = 'insert, update, delete', publish_via_partition_root = true)`,
  )
}

export async function dropPublication(client: pg.ClientBase, publication: string): Promise<void> {
  await client.query(`drop publication if exists ${quoteIdentifier(publication)}`)
}

/**
 * Makes a slot over a replication connection that must stay as it is until the snapshot has been imported: its next
 * command ends the snapshot. It waits for every transaction of the server that has written something.
 *
 * @param watcher another connection, to end the wait
 * @throws QuickScaleError `MOVE_STALLED`
 */
export async function makeSlot(
  replication: pg.Client,
  watcher: pg.ClientBase,
  slot: string,
  moveId: string,
): Promise<NewSlot> {
  const { rows: self } = await replication.query('select pg_backend_pid() as pid')
  let late = false
  const timer = setTimeout(() => {
    late = true
    // The wait then ends with its transaction, or with this process.
    watcher.query('select pg_terminate_backend($1)', [self[0].pid]).catch(() => undefined)
  }, limits.slotWaitMs)
  try {
    const { rows } = await replication.query(
      `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)} LOGICAL pgoutput (SNAPSHOT 'export')`,
    )
    return { consistentPoint: rows[0].consistent_point, snapshot: rows[0].snapshot_name }
  } catch (cause) {
    if (!late) throw cause
    const reason = `a transaction on its server has been open for more than ${limits.slotWaitMs} ms`
    throw new QuickScaleError('MOVE_STALLED', { move: moveId, reason }, { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Also one that is in use: whoever reads it has lost the move. */
export async function dropSlot(client: pg.ClientBase, slot: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await client.query<{ pid: number | null }>(
      'select active_pid as pid from pg_replication_slots where slot_name = $1',
      [slot],
    )
    if (rows[0] === undefined) return
    if (rows[0].pid !== null) {
      await client.query('select pg_terminate_backend($1, $2)', [rows[0].pid, limits.terminationWaitMs])
    }
    try {
      await client.query('select pg_drop_replication_slot($1)', [slot])
      return
    } catch (error) {
      const busy = error instanceof pg.DatabaseError && error.code === '55006'
      const gone = error instanceof pg.DatabaseError && error.code === '42704'
      if (gone) return
      if (!busy || attempt >= limits.attemptsMax) throw error
    }
  }
}

/** Whether a slot still has all that it was made for. */
export async function isSlotUsable(client: pg.ClientBase, slot: string): Promise<boolean> {
  const { rows } = await client.query(
    `select from pg_replication_slots where slot_name = $1 and wal_status is distinct from 'lost'`,
    [slot],
  )
  return rows.length === 1
}
