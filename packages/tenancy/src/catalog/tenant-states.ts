import type { Kysely } from 'kysely'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { refusalOf, type Tenant, type TenantState } from '../tenant.ts'
import { recordAudit } from './audit.ts'
import type { Catalog } from './catalog.ts'
import type { UnderLock } from './locks.ts'
import type { CatalogTables } from './tables.ts'
import { findTenant, type TenantRow, toTenant } from './tenants.ts'

/** SQLSTATE of the triggers on catalog.tenant and quickscale.placement. */
const illegalTransition = 'QS007'

/**
 * Records a tenant's next state, with its line in the audit log, in one transaction. The tenant is not settled until
 * its place has followed.
 *
 * @param also what belongs to the same transaction
 * @throws QuickScaleError `ILLEGAL_TRANSITION`
 */
export async function changeTenantState(
  db: Kysely<CatalogTables>,
  tenant: Tenant,
  to: TenantState,
  audit: { action: string; details: Readonly<Record<string, unknown>> },
  also: (transaction: Kysely<CatalogTables>) => Promise<unknown> = async () => undefined,
): Promise<Tenant> {
  return await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .updateTable('tenant')
      .set({ state: to, settled: false })
      .where('id', '=', tenant.id)
      .returningAll()
      .executeTakeFirstOrThrow()
      .catch((cause: unknown) => explainTransition(cause, tenant, to))
    await also(transaction)
    const details = { from: tenant.state, ...audit.details }
    await recordAudit(transaction, { action: audit.action, tenantId: tenant.id, details })
    return toTenant(row)
  })
}

/** Names a transition that the database refused. */
function explainTransition(cause: unknown, tenant: Tenant, to: TenantState): never {
  if (!(cause instanceof pg.DatabaseError && cause.code === illegalTransition)) throw cause
  throw new QuickScaleError('ILLEGAL_TRANSITION', { key: tenant.slug, from: tenant.state, to }, { cause })
}

/** The tenant's place has followed; unless the state is another one by now. */
export async function markSettled(db: Kysely<CatalogTables>, id: string, state: TenantState): Promise<void> {
  await db
    .updateTable('tenant')
    .set({ settled: true })
    .where('id', '=', id)
    .where('state', '=', state)
    .execute()
}

/** Tenants whose place has yet to follow their state, one page in the order of their ids. */
export async function listUnsettled(
  db: Kysely<CatalogTables>,
  after: string | null,
  limit: number,
): Promise<Tenant[]> {
  let query = db.selectFrom('tenant').selectAll().where('settled', '=', false).orderBy('id').limit(limit)
  if (after !== null) query = query.where('id', '>', after)
  return (await query.execute()).map(toTenant)
}

/**
 * Claims a tenant that was never handed over for its removal; from then on no creation goes on with it.
 *
 * @returns false when the tenant is no longer in the making, and nothing of it may be touched
 */
export async function claimForRemoval(db: Kysely<CatalogTables>, id: string): Promise<boolean> {
  const row = await db
    .updateTable('tenant')
    .set({ state: 'deleting' })
    .where('id', '=', id)
    .where('state', '=', 'provisioning')
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Activates a tenant, with its line in the audit log, in one statement.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`; `TENANT_DELETED` and the like when it is not in the making any more;
 *   `LOCK_LOST`
 */
export async function activateTenant(
  { db }: Pick<Catalog, 'db'>,
  underLock: UnderLock,
  id: string,
  details: Readonly<Record<string, unknown>>,
): Promise<Tenant> {
  const [row] = await underLock<TenantRow>('select * from catalog.activate_tenant($1, $2)', [id, details])
  if (row !== undefined) return toTenant(row)
  const known = await findTenant(db, { id })
  if (known === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: id })
  if (known.state !== 'active') throw new QuickScaleError(refusalOf[known.state], { key: known.slug })
  return known
}
