import type { Kysely } from 'kysely'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Tenant } from '../tenant.ts'
import { recordAudit } from './audit.ts'
import type { CatalogTables } from './tables.ts'

type Db = Kysely<CatalogTables>

/** Who keeps a tenant suspended, and why. */
export interface Suspension {
  /** `operator`, or the name under which somebody else suspends: `billing`. */
  readonly cause: string
  readonly reason: string | null
  readonly since: Date
}

/** The cause of whoever names none. */
export const OPERATOR = 'operator'

/** @throws QuickScaleError `TENANT_INVALID` */
export function assertCause(cause: string): void {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(cause)) throw new QuickScaleError('TENANT_INVALID', { field: 'cause' })
}

/** @throws QuickScaleError `TENANT_INVALID` */
export function assertReason(reason: string): void {
  const usable =
    typeof reason === 'string' && reason.length >= 1 && reason.length <= limits.suspensionReasonLengthMax
  if (!usable || reason.includes('\0')) throw new QuickScaleError('TENANT_INVALID', { field: 'reason' })
}

export async function listSuspensions(db: Db, tenantId: string): Promise<readonly Suspension[]> {
  return await db
    .selectFrom('suspension')
    .select(['cause', 'reason', 'since'])
    .where('tenant_id', '=', tenantId)
    .orderBy('since')
    .orderBy('cause')
    .execute()
}

/** @returns false when it is there already */
export async function addSuspension(
  db: Db,
  tenantId: string,
  { cause, reason = null }: { readonly cause: string; readonly reason?: string | undefined | null },
): Promise<boolean> {
  const added = await db
    .insertInto('suspension')
    .values({ tenant_id: tenantId, cause, reason })
    .onConflict((conflict) => conflict.doNothing())
    .returning('cause')
    .executeTakeFirst()
  return added !== undefined
}

/**
 * Takes one cause away, unless it is the last one of a tenant that is suspended: with that it opens. Who is no cause opens nothing: a
 * process from before causes were known leaves none. Under the tenant's lock.
 *
 * @returns whether the tenant stays closed
 */
export async function dropSuspension(
  db: Db,
  { id: tenantId, state }: Pick<Tenant, 'id' | 'state'>,
  { cause, reason }: { readonly cause: string; readonly reason: string | undefined },
): Promise<boolean> {
  const causes = (await listSuspensions(db, tenantId)).map((each) => each.cause)
  if (!causes.includes(cause)) return true
  const left = causes.filter((each) => each !== cause)
  if (left.length === 0 && state === 'suspended') return false
  await db.transaction().execute(async (transaction) => {
    await transaction
      .deleteFrom('suspension')
      .where('tenant_id', '=', tenantId)
      .where('cause', '=', cause)
      .execute()
    const details = { cause, left, ...(reason !== undefined && { reason }) }
    await recordAudit(transaction, { action: 'tenant.suspension_ended', tenantId, details })
  })
  return true
}
