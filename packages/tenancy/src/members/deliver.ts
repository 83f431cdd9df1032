import pg from 'pg'
import type { Catalog } from '../catalog/catalog.ts'
import {
  countOutbox,
  type DueMember,
  findMembers,
  listDueMembers,
  postponeMembers,
  settleMembers,
} from '../catalog/members.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'

// From the catalog to a tenant's place, which may be another database: no transaction spans both. A change is written
// there first, then struck off the outbox; who dies in between writes it once more, and the version makes that nothing.
// A statement of a process that is gone may still arrive late: the version keeps it from undoing a newer one.

export interface DeliveryOptions {
  /** Changes to hand on at most, 1 to 1000000. @defaultValue 10000 */
  readonly limit?: number
  /** Stops between two tenants; what is done stays done. */
  readonly signal?: AbortSignal
}

/** What {@link deliverMembers} has done. */
export interface DeliveryReport {
  /** Changes that have arrived. */
  readonly delivered: number
  /** Changes still to be delivered: of tenants that are not active, that failed, or beyond the limit. */
  readonly waiting: number
  /** Tenants that could not be delivered to; they are tried again later, after a pause that grows. */
  readonly failed: readonly { readonly tenantId: string; readonly changes: number; readonly error: unknown }[]
}

/**
 * Writes what is newer, and finds what is older than what is there. Conflicts are found by both columns under every
 * strategy, so that nothing has to be rewritten.
 */
const UPSERT = `
  with given (user_id, name, email, role, active, version) as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::bigint[])
  ),
  written as (
    insert into member (user_id, name, email, role, active, version) select * from given
    on conflict (tenant_id, user_id) do update
       set name = excluded.name, email = excluded.email, role = excluded.role, active = excluded.active,
           version = excluded.version
     where member.version < excluded.version
  )
  select member.user_id as "userId", member.version from member join given using (user_id)
   where member.version > given.version`

const OVERWRITE = `
  update member set name = $3, email = $4, role = $5, active = $6, version = $7 where user_id = $1 and version = $2`

/** One process at a time; another one waits, and then finds nothing to do. A crash lets the next one in at once. */
export async function deliverMembers(
  catalog: Catalog,
  tenant: (key: string) => Recipient,
  { limit = limits.memberDeliveries, signal }: DeliveryOptions,
): Promise<DeliveryReport> {
  const most = Math.min(Math.max(1, Math.trunc(limit)), limits.memberDeliveriesMax)
  return await catalog.locked({ exclusive: 'deliver members' }, async (assertHeld) => {
    const failed: DeliveryReport['failed'][number][] = []
    let delivered = 0
    let tried = 0
    while (tried < most) {
      signal?.throwIfAborted()
      await assertHeld()
      const page = await listDueMembers(catalog.db, Math.min(most - tried, limits.tenantsPerPageMax))
      if (page.length === 0) break
      tried += page.length
      for (const lane of lanes([...Map.groupBy(page, ({ tenantId }) => tenantId).values()])) {
        signal?.throwIfAborted()
        const outcomes = await Promise.all(lane.map((changes) => deliverTo(catalog, tenant, changes)))
        for (const { changes, error } of outcomes) {
          if (error === null) delivered += changes.length
          else failed.push({ tenantId: changes[0]?.tenantId ?? '', changes: changes.length, error })
        }
      }
    }
    return { delivered, waiting: await countOutbox(catalog.db), failed }
  })
}

/** A failure of one tenant is an outcome; one of the catalog ends the delivery. */
async function deliverTo(
  catalog: Catalog,
  tenant: (key: string) => Recipient,
  changes: readonly DueMember[],
): Promise<{ changes: readonly DueMember[]; error: unknown }> {
  let error: unknown = null
  try {
    const handle = tenant(changes[0]?.tenantId ?? '')
    for (let at = 0; at < changes.length; at += limits.membersPerStatement)
      await write(catalog, handle, changes.slice(at, at + limits.membersPerStatement))
  } catch (failure) {
    error = failure
  }
  if (error === null) await settleMembers(catalog.db, changes)
  else await postponeMembers(catalog.db, changes, codeOf(error))
  return { changes, error }
}

/** Where a tenant's members are written. */
type Recipient = Pick<TenantHandle, 'query'>

async function write(catalog: Catalog, place: Recipient, changes: readonly DueMember[]): Promise<void> {
  const { rows } = await place.query<{ userId: string; version: string }>(UPSERT, columnsOf(changes))
  if (rows.length === 0) return
  const tenantId = changes[0]?.tenantId ?? ''
  const current = await findMembers(
    catalog.db,
    tenantId,
    rows.map(({ userId }) => userId),
  )
  for (const { userId, version } of rows) {
    const member = current.find((candidate) => candidate.userId === userId)
    // Newer than anything the catalog knows: the tenant wrote it, or the catalog was restored. The catalog is right.
    if (member === undefined || BigInt(version) <= BigInt(member.version)) continue
    const { name, email, role, active } = member
    await place.query(OVERWRITE, [userId, version, name, email, role, active, member.version])
  }
}

function columnsOf(changes: readonly DueMember[]): unknown[][] {
  return [
    changes.map(({ userId }) => userId),
    changes.map(({ name }) => name),
    changes.map(({ email }) => email),
    changes.map(({ role }) => role),
    changes.map(({ active }) => active),
    changes.map(({ version }) => version),
  ]
}

function lanes<Item>(items: readonly Item[]): Item[][] {
  const count = Math.ceil(items.length / limits.memberConcurrency)
  return Array.from({ length: count }, (_, at) =>
    items.slice(at * limits.memberConcurrency, (at + 1) * limits.memberConcurrency),
  )
}

function codeOf(error: unknown): string {
  return error instanceof QuickScaleError || error instanceof pg.DatabaseError
    ? (error.code ?? 'UNKNOWN')
    : 'UNKNOWN'
}
