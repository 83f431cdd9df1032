import pg from 'pg'
import { assertObject } from '../arguments.ts'
import { recordAudit } from '../catalog/audit.ts'
import { findRoute } from '../catalog/places.ts'
import { addSuspension, assertCause, assertReason, dropSuspension, OPERATOR } from '../catalog/suspensions.ts'
import { changeTenantState, markSettled } from '../catalog/tenant-states.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { type FenceState, setFence } from '../placements/fence.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { withTenantLocked } from './locked.ts'

/** Why and how a tenant's state is changed. */
export interface StateChange {
  /** For the audit log; 1 to 1000 characters. */
  readonly reason?: string
  /**
   * Under which name it is suspended: each suspends for itself, and the tenant opens when the last one has resumed it. a-z, 0-9 and
   * `-`, a letter first. @defaultValue `operator`; a `resume` without one opens, whoever has suspended it
   */
  readonly cause?: string
  /**
   * Milliseconds that transactions which have begun may go on when the tenant is closed; then they are ended.
   * In a database of the tenant's own each of their statements is refused at once. @defaultValue 5000
   */
  readonly graceMs?: number
}

// A change of state is two writes in two databases:
//
//   1  the catalog: the new state, "not settled", a line in the audit log, in one transaction
//   2  the place: its fence, and in a silo the login's right on the tables, in one transaction; nobody is left inside
//   3  the catalog: settled
//
// Whoever is interrupted in between, or finds the place unreachable, repeats the call: 1 is skipped when the catalog
// has the state already, 2 and 3 may be repeated. The sweep does the same for everyone.

const actions = {
  active: 'tenant.resumed',
  suspended: 'tenant.suspended',
  archived: 'tenant.archived',
} as const

/**
 * Suspends, archives or resumes. A tenant that is in the state already stays so.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_KEY_INVALID`, `TENANT_INVALID` (cause, reason), `ILLEGAL_TRANSITION`,
 *   `TENANT_UNREACHABLE`, `TENANT_MOVING` in the instant between two places: the state is followed when the tenant has arrived
 */
export async function changeState(
  workshop: Workshop,
  key: string,
  to: keyof typeof actions,
  change: StateChange = {},
): Promise<Tenant> {
  assertObject('change', change)
  const { reason, cause, graceMs = limits.closingGraceMs } = change
  if (cause !== undefined) assertCause(cause)
  if (reason !== undefined) assertReason(reason)
  return await withTenantLocked(workshop, key, { apart: false }, async (known) => {
    // To the database this is what provisioning ends with; here there is no place yet that could be opened.
    if (known.state === 'provisioning') {
      throw new QuickScaleError('ILLEGAL_TRANSITION', { key: known.slug, from: known.state, to })
    }
    const { db } = workshop.catalog
    if (to === 'active' && cause !== undefined && (await staysClosed(db, known, { cause, reason })))
      return known
    const details = { ...(reason !== undefined && { reason }), ...(cause !== undefined && { cause }) }
    const suspension = { cause: cause ?? OPERATOR, reason }
    if (known.state === to && to === 'suspended') await suspendFurther(db, known, suspension, details)
    if (known.state === to && known.settled) return known
    const also = async (transaction: Db) =>
      to === 'suspended' && (await addSuspension(transaction, known.id, suspension))
    const audit = { action: actions[to], details }
    const tenant = known.state === to ? known : await changeTenantState(db, known, to, audit, also)
    return await settle(workshop, tenant, to, graceMs)
  })
}

type Db = Workshop['catalog']['db']

/** Whether somebody resumes for themself only: others keep it suspended, or it was archived meanwhile. */
async function staysClosed(
  db: Db,
  tenant: Tenant,
  ended: { readonly cause: string; readonly reason: string | undefined },
): Promise<boolean> {
  const closed = tenant.state === 'suspended' || tenant.state === 'archived'
  return closed && (await dropSuspension(db, tenant, ended))
}

async function suspendFurther(
  db: Db,
  { id, state }: Tenant,
  suspension: { readonly cause: string; readonly reason: string | undefined },
  details: object,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    if (!(await addSuspension(transaction, id, suspension))) return
    await recordAudit(transaction, {
      action: actions.suspended,
      tenantId: id,
      details: { from: state, ...details },
    })
  })
}

/** Makes the place follow the state that the catalog has; under the tenant's lock. Repeatable. */
export async function settle(
  workshop: Workshop,
  tenant: Tenant,
  state: FenceState,
  graceMs: number = limits.closingGraceMs,
): Promise<Tenant> {
  const { servers, catalog } = workshop
  const record = await findRoute(catalog.db, { id: tenant.id })
  if (record === null) throw unreachable(tenant, 'it has no placement')
  const { database, placement } = record
  const place = { database, schemaName: placement.schemaName }
  const bounded = Math.min(Math.max(1, Math.trunc(graceMs)), limits.closingGraceMsMax)
  const found = await (database.kind === 'silo' ? servers.connected : servers.pooled)(database, (client) =>
    setFence(client, { tenantId: tenant.id, place, state, graceMs: bounded }),
  ).catch((cause: unknown) => {
    // The place has been left: the move that is about to end makes the next one follow.
    if (!(cause instanceof pg.DatabaseError && cause.code === illegalTransition)) throw cause
    throw new QuickScaleError('TENANT_MOVING', { key: tenant.slug }, { cause })
  })
  if (!found) throw unreachable(tenant, `there is no fence for it in ${database.name}`)
  await markSettled(catalog.db, tenant.id, tenant.state)
  return { ...tenant, settled: true }
}

/** SQLSTATE of the fence's trigger. */
const illegalTransition = 'QS007'

function unreachable({ slug }: Tenant, reason: string): QuickScaleError {
  return new QuickScaleError('TENANT_UNREACHABLE', { key: slug, reason })
}
