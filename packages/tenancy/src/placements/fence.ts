import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { quoteLiteral } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { admitToTables, loginRoles } from '../strategies/databases.ts'
import type { Opening, Place } from '../strategies/strategy.ts'

/** What the library makes of a place; moves have states of their own. */
export type FenceState = 'active' | 'suspended' | 'archived' | 'deleting'

/** Apart from the tenant's own lock: a place that a tenant moves to is made while the tenant works. */
function makingLock(tenantId: string): string {
  return `quickscale making ${tenantId}`
}

/**
 * Opens a tenant's place to its tokens of its first epoch. An open place stays as it is.
 *
 * @param assertHeld asked before; throws when it is not the caller's to open any more
 */
export function openingOf(
  tenantId: string,
  { schemaName }: Place,
  assertHeld: Opening['assertHeld'],
): Opening {
  const statement = `insert into quickscale.placement (tenant_id, epoch, state, schema_name)
    values (${quoteLiteral(tenantId)}, 1, 'active', ${quoteLiteral(schemaName)})
    on conflict (tenant_id) do nothing`
  return { assertHeld, lock: makingLock(tenantId), statement }
}

/**
 * Brings a fence to a state. In a tenant's own database the login's right on the tables comes and goes in the same
 * transaction: whoever keeps a session there, with whatever plan, is refused from its commit on. When the tenant is
 * closed nobody is inside any more on return; work that does not end within the grace is ended.
 *
 * @param client an administrator's connection to the place's database
 * @param graceMs how long work that has begun may go on
 * @returns false when there is no fence of this tenant here
 */
export async function setFence(
  client: pg.ClientBase,
  { tenantId, place, state, graceMs }: { tenantId: string; place: Place; state: FenceState; graceMs: number },
): Promise<boolean> {
  const others = { tenantId, lock: tenantId, graceMs }
  const found = await whileOthersLeave(client, others, () => switchFence(client, tenantId, place, state))
  if (state === 'active') return found
  // Nobody new gets in; with this lock nobody is left.
  await whileOthersLeave(client, others, () => takeLock(client, tenantId))
  if (place.database.kind === 'silo') await endTransactions(client, place)
  return found
}

/** Waits until nobody makes the tenant's place any more; what takes longer than the grace is ended. */
export async function endMaking(client: pg.ClientBase, tenantId: string, graceMs: number): Promise<void> {
  const lock = makingLock(tenantId)
  await whileOthersLeave(client, { tenantId, lock, graceMs }, () => takeLock(client, lock))
}

async function takeLock(client: pg.ClientBase, lock: string): Promise<void> {
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [lock])
}

/** Takes away the row of a place that nobody is let into any more. */
export async function removeFence(client: pg.ClientBase, tenantId: string): Promise<void> {
  await client.query('delete from quickscale.placement where tenant_id = $1', [tenantId])
}

async function switchFence(
  client: pg.ClientBase,
  tenantId: string,
  place: Place,
  state: FenceState,
): Promise<boolean> {
  const { rowCount } = await client.query('update quickscale.placement set state = $2 where tenant_id = $1', [
    tenantId,
    state,
  ])
  if (place.database.kind === 'silo') await admitToTables(client, place.database, state === 'active')
  return rowCount === 1
}

/**
 * Runs `work` in a transaction that waits for the holders of a lock, for the tenant's own transactions as a rule. What has not ended after the grace is ended, so
 * that a transaction left open, here or by somebody with the login's password, cannot keep its tenant open.
 */
async function whileOthersLeave<T>(
  client: pg.ClientBase,
  { tenantId, lock, graceMs }: { tenantId: string; lock: string; graceMs: number },
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await inTransaction(client, async () => {
        // 0 would mean: for ever.
        await client.query("select set_config('lock_timeout', $1, true)", [String(Math.max(1, graceMs))])
        return await work()
      })
    } catch (error) {
      const waited = error instanceof pg.DatabaseError && error.code === lockTimeout
      if (!waited) throw error
      if (attempt >= limits.attemptsMax) {
        throw new QuickScaleError(
          'TENANT_UNREACHABLE',
          { key: tenantId, reason: 'its sessions do not end' },
          { cause: error },
        )
      }
      await endHolders(client, lock)
    }
  }
}

const lockTimeout = '55P03'

async function endHolders(client: pg.ClientBase, lock: string): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid, $2) from pg_locks
      where locktype = 'advisory' and objsubid = 1 and granted and pid <> pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)`,
    [lock, limits.terminationWaitMs],
  )
}

/**
 * Ends what a session of one of the database's logins still has open. It holds no lock of the tenant: it did not enter
 * through this library, has tampered with what it entered, or is unscoped; what it wrote before must not be committed.
 */
async function endTransactions(client: pg.ClientBase, place: Place): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid, $2) from pg_stat_activity
      where usename = any ($1) and datname = current_database() and state <> 'idle'`,
    [loginRoles(place.database), limits.terminationWaitMs],
  )
}
