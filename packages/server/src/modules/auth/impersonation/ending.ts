import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { AuthTables, EndCode } from '../tables.ts'
import { noteEnd, type Parties } from './notes.ts'

// An end counts from its commit on; its line in the tenant's log follows. `noted_at` says that it is there: whoever is killed in
// between leaves it to the next look.

type Surroundings = Pick<Services, 'tenancy' | 'platformLog'> & { readonly db: Kysely<AuthTables> }

interface Ending {
  readonly id: string
  /** The tenant it must be in. @defaultValue whichever */
  readonly tenantId?: string
  readonly code: EndCode
  readonly requestId: string
}

/**
 * Ends one that goes on.
 *
 * @returns the tenant it was in; null when there is no such one, or it is over
 */
export async function endImpersonation(
  surroundings: Surroundings,
  { id, tenantId, code, requestId }: Ending,
): Promise<string | null> {
  const goingOn = surroundings.db
    .updateTable('impersonation')
    .set({ ended_at: sql<Date>`now()`, end_code: code })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
  const there = tenantId === undefined ? goingOn : goingOn.where('tenant_id', '=', tenantId)
  const ended = await there.returning(columns).executeTakeFirst()
  if (ended === undefined) return null
  await writeDown(surroundings, ended, requestId)
  return ended.tenant_id
}

/** Ends what may not go on any more, writes down what has ended, and forgets what is old. */
export async function sweepImpersonations(surroundings: Surroundings): Promise<void> {
  const { db } = surroundings
  await db
    .updateTable('impersonation')
    .set({
      ended_at: sql<Date>`now()`,
      end_code: sql<EndCode>`case when expires_at <= now() then 'EXPIRED' when exists (
        select from auth.session where session.id = session_id and session.expires_at > now()
      ) then 'RIGHT_LOST' else 'SIGNED_OUT' end`,
    })
    .where('ended_at', 'is', null)
    .where('id', 'not in', (from) => from.selectFrom('valid_impersonation').select('id'))
    .execute()
  const unwritten = await db
    .selectFrom('impersonation')
    .select(columns)
    .where('ended_at', 'is not', null)
    .where('noted_at', 'is', null)
    .orderBy('ended_at')
    .limit(limits.impersonationSweepMax)
    .execute()
  for (const ended of unwritten) await writeDown(surroundings, ended, randomUUID())
  await db
    .deleteFrom('impersonation')
    .where('noted_at', 'is not', null)
    .where('asked_at', '<', sql<Date>`now() - ${limits.impersonationKeptMs} * interval '1 millisecond'`)
    .execute()
}

const columns = ['id', 'operator_id', 'user_id', 'tenant_id', 'redeemed_at', 'end_code'] as const
type Ended = Required<Parties> & { readonly redeemed_at: Date | null; readonly end_code: EndCode | null }

/** A token that nobody has redeemed has begun nothing. */
async function writeDown(surroundings: Surroundings, ended: Ended, requestId: string): Promise<void> {
  const { id, redeemed_at, end_code } = ended
  if (redeemed_at !== null)
    await noteEnd(surroundings, ended, {
      action: 'impersonation.end',
      requestId,
      ...(end_code !== null && { code: end_code }),
    })
  await surroundings.db
    .updateTable('impersonation')
    .set({ noted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute()
}
