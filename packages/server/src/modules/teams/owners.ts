import type { Tenancy } from '@quickscale/tenancy'
import { type Kysely, sql } from 'kysely'
import { ProblemError } from '../../http/problem-error.ts'
import type { TeamsTables } from './tables.ts'

const PAGE = 1_000

/** Makes one change of the tenants' owners at a time, so that two owners cannot both leave believing in the other. */
export async function whileOwnersStay<T>(
  db: Kysely<TeamsTables>,
  tenantIds: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  return await db.transaction().execute(async (transaction) => {
    // One after the other in the same order everywhere: nobody waits for whoever waits for them.
    for (const tenantId of [...tenantIds].sort()) {
      await sql`select pg_advisory_xact_lock(hashtextextended('owners ' || ${tenantId}::text, 0))`.execute(
        transaction,
      )
    }
    return await work()
  })
}

/** @throws ProblemError `LAST_OWNER` when nobody else owns the tenant */
export async function assertAnotherOwner(
  tenancy: Pick<Tenancy, 'members'>,
  tenantId: string,
  userId: string,
): Promise<void> {
  for await (const member of activeMembers(tenancy, tenantId)) {
    if (member.role === 'owner' && member.userId !== userId) return
  }
  throw new ProblemError(409, 'LAST_OWNER', 'An organization needs an owner: make somebody else one first')
}

/**
 * Has somebody own nothing any more, where others do; of two owners who go at the same moment, one stays.
 *
 * @throws ProblemError `LAST_OWNER`, before anything is changed
 */
export async function giveOwnershipUp(
  tenancy: Pick<Tenancy, 'members'>,
  db: Kysely<TeamsTables>,
  userId: string,
): Promise<void> {
  const owned: string[] = []
  for await (const { tenant, role } of tenantsOf(tenancy, userId)) {
    if (role !== 'owner' || tenant.state === 'deleting') continue
    owned.push(tenant.id)
  }
  await whileOwnersStay(db, owned, async () => {
    for (const tenantId of owned) await assertAnotherOwner(tenancy, tenantId, userId)
    for (const tenantId of owned) await tenancy.members.deactivate(tenantId, userId)
  })
}

async function* tenantsOf({ members }: Pick<Tenancy, 'members'>, userId: string) {
  for (let after = ''; ; ) {
    const page = await members.tenantsOf(userId, { limit: PAGE, after })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = last.tenant.slug
  }
}

export async function countMembers(tenancy: Pick<Tenancy, 'members'>, tenantId: string): Promise<number> {
  let count = 0
  for await (const _ of activeMembers(tenancy, tenantId)) count += 1
  return count
}

async function* activeMembers({ members }: Pick<Tenancy, 'members'>, tenantId: string) {
  for (let after: string | undefined; ; ) {
    const page = await members.list(tenantId, { limit: PAGE, ...(after === undefined ? {} : { after }) })
    yield* page.filter(({ active }) => active)
    after = page.at(-1)?.userId
    if (page.length < PAGE) return
  }
}
