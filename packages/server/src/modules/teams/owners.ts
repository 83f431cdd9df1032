import type { Tenancy } from '@quickscale/tenancy'
import { type Kysely, sql } from 'kysely'
import { ProblemError } from '../../http/problem-error.ts'
import type { TeamsTables } from './tables.ts'

const PAGE = 1_000

/** Makes one change of a tenant's owners at a time, so that two owners cannot both leave believing in the other. */
export async function whileOwnersStay<T>(
  db: Kysely<TeamsTables>,
  tenantId: string,
  work: () => Promise<T>,
): Promise<T> {
  return await db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(hashtextextended('owners ' || ${tenantId}::text, 0))`.execute(
      transaction,
    )
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
