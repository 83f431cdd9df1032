import { type Kysely, type Selectable, sql } from 'kysely'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { recordAudit } from './audit.ts'
import type { CatalogTables } from './tables.ts'
import { findTenant, parseTenantKey, toTenant } from './tenants.ts'

/** What stands in place of the name of somebody who is forgotten. */
const ANONYMOUS = 'Former member'

/** A person in one tenant. */
export interface Member {
  /** uuid of the user, the same in every tenant of theirs. */
  readonly userId: string
  readonly name: string
  readonly email: string | null
  /** What they are there, in the application's words. */
  readonly role: string
  readonly active: boolean
  readonly anonymised: boolean
}

/** Who a member is to be. */
export interface NewMember {
  /** uuid of the user, lower case. */
  readonly userId: string
  /** 1 to 200 characters. */
  readonly name: string
  /** 3 to 254 characters. @defaultValue none */
  readonly email?: string | null
  /** 1 to 64 characters, in the application's words. */
  readonly role: string
}

type MemberRow = Selectable<CatalogTables['member']>
/** Each of these changes is noted for delivery by a trigger, in the same transaction. */
type Db = Kysely<CatalogTables>

/**
 * Adds a member, or changes one; one that was deactivated is active again.
 *
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_DELETED`, `MEMBER_ANONYMISED`
 */
export async function putMember(
  db: Db,
  key: string,
  { userId, name, email, role }: Pick<Member, 'userId' | 'name' | 'email' | 'role'>,
): Promise<Member> {
  return await db.transaction().execute(async (transaction) => {
    const tenantId = await holdTenant(transaction, key)
    await holdPerson(transaction, userId)
    const forgotten = await transaction
      .selectFrom('member')
      .select('user_id')
      .where('user_id', '=', userId)
      .where('anonymised', '=', true)
      .executeTakeFirst()
    if (forgotten !== undefined) throw new QuickScaleError('MEMBER_ANONYMISED', { user: userId })
    const row = await transaction
      .insertInto('member')
      .values({ tenant_id: tenantId, user_id: userId, name, email, role })
      .onConflict((conflict) =>
        conflict
          .columns(['tenant_id', 'user_id'])
          .doUpdateSet({ name, email, role, active: true, version: sql`member.version + 1` }),
      )
      .returningAll()
      .executeTakeFirstOrThrow()
    await recordAudit(transaction, { action: 'member.put', tenantId, details: { user: userId, role } })
    return toMember(row)
  })
}

/** @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_DELETED`, `MEMBER_NOT_FOUND` */
export async function deactivateMember(db: Db, key: string, userId: string): Promise<Member> {
  return await db.transaction().execute(async (transaction) => {
    const tenantId = await holdTenant(transaction, key)
    const changed = await transaction
      .updateTable('member')
      .set({ active: false, version: sql`version + 1` })
      .where('tenant_id', '=', tenantId)
      .where('user_id', '=', userId)
      .where('active', '=', true)
      .returningAll()
      .executeTakeFirst()
    if (changed !== undefined) {
      await recordAudit(transaction, { action: 'member.deactivated', tenantId, details: { user: userId } })
    }
    const row = changed ?? (await findMember(transaction, tenantId, userId))
    if (row === undefined) throw new QuickScaleError('MEMBER_NOT_FOUND', { user: userId })
    return toMember(row)
  })
}

/** Forgets a person in every tenant; returns in how many. @throws QuickScaleError `MEMBER_NOT_FOUND` */
export async function anonymiseMember(db: Db, userId: string): Promise<number> {
  return await db.transaction().execute(async (transaction) => {
    await holdPerson(transaction, userId)
    const rows = await transaction
      .updateTable('member')
      .set({ name: ANONYMOUS, email: null, active: false, anonymised: true, version: sql`version + 1` })
      .where('user_id', '=', userId)
      .where('anonymised', '=', false)
      .returning('tenant_id')
      .execute()
    for (const { tenant_id: tenantId } of rows) {
      await recordAudit(transaction, { action: 'member.anonymised', tenantId, details: { user: userId } })
    }
    const known =
      rows.length > 0 ||
      (await transaction
        .selectFrom('member')
        .select('user_id')
        .where('user_id', '=', userId)
        .executeTakeFirst()) !== undefined
    if (!known) throw new QuickScaleError('MEMBER_NOT_FOUND', { user: userId })
    return rows.length
  })
}

/** One person in a tenant. @throws QuickScaleError `TENANT_NOT_FOUND` */
export async function findMemberOf(db: Db, key: string, userId: string): Promise<Member | null> {
  const tenant = await findTenant(db, parseTenantKey(key))
  if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
  const row = await findMember(db, tenant.id, userId)
  return row === undefined ? null : toMember(row)
}

/** One page in the order of user ids. @throws QuickScaleError `TENANT_NOT_FOUND` */
export async function listMembers(
  db: Db,
  key: string,
  after: string | null,
  limit: number,
): Promise<Member[]> {
  const tenant = await findTenant(db, parseTenantKey(key))
  if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
  let query = db.selectFrom('member').selectAll().where('tenant_id', '=', tenant.id).orderBy('user_id')
  if (after !== null) query = query.where('user_id', '>', after)
  return (await query.limit(limit).execute()).map(toMember)
}

/** A tenant, or one that it is a sub-account of, and what somebody is there. */
export interface Kin {
  readonly tenantId: string
  readonly slug: string
  readonly plan: string
  /** Null for who is no active member there. */
  readonly role: string | null
}

/** The tenant and those above it, the nearest first; none when there is no such tenant. One query. */
export async function listLineage(db: Db, key: string, userId: string | null): Promise<Kin[]> {
  const parsed = parseTenantKey(key)
  const [id, slug] = 'id' in parsed ? [parsed.id, null] : [null, parsed.slug]
  const { rows } = await sql<Kin>`
    with recursive line (id, slug, plan_id, parent_id, depth) as (
      select id, slug, plan_id, parent_id, 0 from catalog.tenant
       where (id = ${id}::uuid or slug = ${slug}::text) and state <> 'deleted'
      union all
      select tenant.id, tenant.slug, tenant.plan_id, tenant.parent_id, line.depth + 1
        from line join catalog.tenant on tenant.id = line.parent_id
       where line.depth < ${limits.lineageMax} and tenant.state <> 'deleted'
    )
    select line.id as "tenantId", line.slug, line.plan_id as plan, member.role
      from line left join catalog.member
        on member.tenant_id = line.id and member.user_id = ${userId}::uuid and member.active
     order by line.depth`.execute(db)
  return rows
}

/** Where somebody is an active member, in the order of slugs. */
export async function listTenantsOf(db: Db, userId: string, after: string, limit: number) {
  const rows = await db
    .selectFrom('member')
    .innerJoin('tenant', 'tenant.id', 'member.tenant_id')
    .selectAll('tenant')
    .select('member.role')
    .where('member.user_id', '=', userId)
    .where('member.active', '=', true)
    .where('tenant.state', '<>', 'deleted')
    .where('tenant.slug', '>', after)
    .orderBy('tenant.slug')
    .limit(limit)
    .execute()
  return rows.map(({ role, ...row }) => ({ tenant: toTenant(row), role }))
}

/** A change that a tenant's place does not have yet: the member as they are now. */
export interface DueMember extends Member {
  readonly tenantId: string
  readonly version: string
  readonly attempts: number
}

/** Changes that may be delivered now: of tenants that are active, and not resting after a failure. */
export async function listDueMembers(db: Db, limit: number): Promise<DueMember[]> {
  const rows = await db
    .selectFrom('member_outbox as due')
    .innerJoin('member', (join) =>
      join.onRef('member.tenant_id', '=', 'due.tenant_id').onRef('member.user_id', '=', 'due.user_id'),
    )
    .innerJoin('tenant', 'tenant.id', 'due.tenant_id')
    .selectAll('member')
    .select('due.attempts')
    .where('due.due_at', '<=', sql<Date>`clock_timestamp()`)
    .where('tenant.state', '=', 'active')
    .orderBy('due.due_at')
    .orderBy('due.tenant_id')
    .orderBy('due.user_id')
    .limit(limit)
    .execute()
  return rows.map(({ attempts, ...row }) => ({
    ...toMember(row),
    tenantId: row.tenant_id,
    version: row.version,
    attempts,
  }))
}

/** Members as they are now, whether a change of them is due or not. */
export async function findMembers(
  db: Db,
  tenantId: string,
  userIds: readonly string[],
): Promise<(Member & { readonly version: string })[]> {
  const rows = await db
    .selectFrom('member')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('user_id', 'in', [...userIds])
    .execute()
  return rows.map((row) => ({ ...toMember(row), version: row.version }))
}

/** What has been delivered is due no more, unless it has changed again meanwhile. */
export async function settleMembers(db: Db, members: readonly DueMember[]): Promise<void> {
  await sql`delete from catalog.member_outbox as due
             using unnest(${members.map(({ tenantId }) => tenantId)}::uuid[], ${members.map(({ userId }) => userId)}::uuid[],
                          ${members.map(({ version }) => version)}::bigint[]) as done (tenant_id, user_id, version)
             where due.tenant_id = done.tenant_id and due.user_id = done.user_id and due.version = done.version`.execute(
    db,
  )
}

/** What could not be delivered rests for a while, longer each time. */
export async function postponeMembers(db: Db, members: readonly DueMember[], failure: string): Promise<void> {
  await sql`update catalog.member_outbox as due
               set attempts = attempts + 1, failure = ${failure},
                   due_at = clock_timestamp() + least(${limits.memberRetryMs} * power(2, least(attempts, 30)), ${limits.memberRetryMsMax})
                                              * interval '1 millisecond'
              from unnest(${members.map(({ tenantId }) => tenantId)}::uuid[], ${members.map(({ userId }) => userId)}::uuid[],
                          ${members.map(({ version }) => version)}::bigint[]) as tried (tenant_id, user_id, version)
             where due.tenant_id = tried.tenant_id and due.user_id = tried.user_id and due.version = tried.version`.execute(
    db,
  )
}

export async function countOutbox(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('member_outbox')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Whoever is forgotten in every tenant must not be added to another one at the same moment. */
async function holdPerson(db: Db, userId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('member ' || ${userId}::text, 0))`.execute(db)
}

/** Keeps the tenant from being deleted until the transaction ends. */
async function holdTenant(db: Db, key: string): Promise<string> {
  const tenant = await findTenant(db, parseTenantKey(key))
  if (tenant === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
  const { state } = await db
    .selectFrom('tenant')
    .select('state')
    .where('id', '=', tenant.id)
    .forShare()
    .executeTakeFirstOrThrow()
  if (state === 'deleting' || state === 'deleted') throw new QuickScaleError('TENANT_DELETED', { key })
  return tenant.id
}

async function findMember(db: Db, tenantId: string, userId: string): Promise<MemberRow | undefined> {
  return await db
    .selectFrom('member')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
}

function toMember({ user_id: userId, name, email, role, active, anonymised }: MemberRow): Member {
  return { userId, name, email, role, active, anonymised }
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** @throws QuickScaleError `MEMBER_INVALID` */
export function parseUser(value: unknown): string {
  if (typeof value === 'string' && uuid.test(value)) return value
  throw new QuickScaleError('MEMBER_INVALID', { field: 'user id' })
}

/** @throws QuickScaleError `MEMBER_INVALID` */
export function parseMember(member: NewMember): Required<NewMember> & { email: string | null } {
  const { userId, name, email, role } = member ?? ({} as Partial<NewMember>)
  return {
    userId: parseUser(userId),
    name: parseText('name', name, 1, limits.memberNameLengthMax),
    email:
      email === undefined || email === null
        ? null
        : parseText('e-mail address', email, limits.memberEmailLengthMin, limits.memberEmailLengthMax),
    role: parseText('role', role, 1, limits.memberRoleLengthMax),
  }
}

function parseText(field: string, value: unknown, min: number, max: number): string {
  const text = typeof value === 'string' ? value.trim() : ''
  if (text.length < min || text.length > max || text.includes('\0'))
    throw new QuickScaleError('MEMBER_INVALID', { field })
  return text
}
