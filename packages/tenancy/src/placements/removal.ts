import { recordAudit } from '../catalog/audit.ts'
import type { AssertHeld, UnderLock } from '../catalog/locks.ts'
import { QuickScaleError } from '../errors.ts'
import { isOpen } from '../strategies/databases.ts'
import type { Holding, Place, Workshop } from '../strategies/strategy.ts'
import type { Strategy, Tenant } from '../tenant.ts'
import { endMaking, removeFence, setFence } from './fence.ts'
import { handlers } from './handlers.ts'

/** The name of the lock under which a tenant is made, changed and taken away; a renaming takes it with the old slug. */
export function tenantLock(slug: string): string {
  return `tenant ${slug}`
}

/** Work under the lock of a tenant's slug. */
export interface Held {
  readonly workshop: Workshop
  readonly assertHeld: AssertHeld
  readonly underLock: UnderLock
}

/** One attempt at making or removing a tenant's place. */
export interface Attempt extends Held {
  readonly strategy: Strategy
}

/** Everything of a tenant that is there, its fence included. */
export async function inspectTenant(
  { workshop, strategy }: Pick<Attempt, 'workshop' | 'strategy'>,
  tenantId: string,
  place: Place,
): Promise<Holding[]> {
  if (isUnmade(place)) return []
  const held = await handlers[strategy].inspect(workshop, tenantId, place)
  if (place.database.kind === 'silo') return held
  const { rowCount } = await workshop.servers.pooled(place.database, (client) =>
    client.query(
      `select from quickscale.placement where tenant_id = $1
       union all select from quickscale.gate where tenant = uuid_send($1)`,
      [tenantId],
    ),
  )
  return rowCount === 0 ? held : [...held, { kind: 'fence', name: place.database.name, count: 1 }]
}

/**
 * Takes a tenant away that is `deleting`: closes the fence, because nobody may be inside while the place goes; takes
 * the place away; looks whether anything is left; and only then forgets it. Every step may be repeated, and the last
 * one is a single transaction, so that an interrupted removal finds its place again.
 *
 * A tenant that was handed over becomes `deleted`, with a line in the audit log; one that never was is gone.
 *
 * @returns what has been taken away
 * @throws QuickScaleError `TENANT_REMAINS`, `LOCK_LOST`
 */
export async function removeTenant(
  attempt: Attempt,
  tenant: Tenant,
  place: Place,
  graceMs = 0,
): Promise<readonly Holding[]> {
  const { workshop, strategy, assertHeld } = attempt
  await assertHeld()
  if (!isUnmade(place)) await close(attempt, tenant, place, graceMs)
  const gone = await inspectTenant(attempt, tenant.id, place)
  await assertHeld()
  if (!isUnmade(place)) await handlers[strategy].demolish(workshop, tenant.id, place)
  await assertHeld()
  if (!isUnmade(place) && place.database.kind !== 'silo') {
    await workshop.servers.pooled(place.database, (client) => removeFence(client, tenant.id))
  }
  const left = await inspectTenant(attempt, tenant.id, place)
  if (left.length > 0) {
    const remains = left.map(({ kind, name, count }) => `${count} ${kind} ${name}`).join(', ')
    throw new QuickScaleError('TENANT_REMAINS', { key: tenant.slug, remains })
  }
  await assertHeld()
  await forget(attempt, tenant, place, gone)
  return gone
}

/**
 * Forgets a tenant that is `deleting` and whose brought database lets nobody in any more: what was made there stays.
 *
 * @returns false when it does let us in, and nothing is forgotten
 */
export async function abandonTenant(attempt: Attempt, tenant: Tenant, place: Place): Promise<boolean> {
  const { servers } = attempt.workshop
  if (!place.database.brought) return false
  const reached = await servers
    .connected(place.database, async () => true)
    .catch((error: unknown) => {
      if (error instanceof QuickScaleError && error.code === 'SERVER_UNREACHABLE') return false
      throw error
    })
  if (reached) return false
  await attempt.assertHeld()
  await forget(attempt, tenant, place, [], { abandoned: true })
  return true
}

/** A shared database that was never finished: nobody was ever let into it. */
function isUnmade({ database }: Place): boolean {
  return database.kind !== 'silo' && !database.ready
}

async function close({ workshop }: Attempt, tenant: Tenant, place: Place, graceMs: number): Promise<void> {
  const { servers } = workshop
  const closing = { tenantId: tenant.id, place, state: 'deleting', graceMs } as const
  if (place.database.kind !== 'silo') {
    await servers.pooled(place.database, async (client) => {
      await endMaking(client, tenant.id, graceMs)
      await setFence(client, closing)
    })
  } else if (place.database.ready && (await isOpen(workshop, place.database))) {
    await servers.connected(place.database, (client) => setFence(client, closing))
  }
}

async function forget(
  { workshop, strategy }: Attempt,
  tenant: Tenant,
  place: Place,
  gone: readonly Holding[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await workshop.catalog.db.transaction().execute(async (db) => {
    await db.deleteFrom('placement').where('tenant_id', '=', tenant.id).execute()
    if (place.database.kind === 'silo') {
      await db.deleteFrom('database').where('id', '=', place.database.id).execute()
      if (place.database.brought)
        await db.deleteFrom('server').where('name', '=', place.database.server).execute()
    }
    const removed = await db
      .deleteFrom('tenant')
      .where('id', '=', tenant.id)
      .where('state', '=', 'deleting')
      .where('activated_at', 'is', null)
      .executeTakeFirst()
    if (removed.numDeletedRows > 0n) return
    await db
      .updateTable('tenant')
      .set({ state: 'deleted', settled: true })
      .where('id', '=', tenant.id)
      .where('state', '=', 'deleting')
      .executeTakeFirstOrThrow()
    const details = { slug: tenant.slug, strategy, database: place.database.name, gone, ...more }
    await recordAudit(db, { action: 'tenant.deleted', tenantId: tenant.id, details })
  })
}
