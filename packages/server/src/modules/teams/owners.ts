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
  { members }: Pick<Tenancy, 'members'>,
  tenantId: string,
  userId: string,
): Promise<void> {
  for (let after: string | undefined; ; ) {
    const page = await members.list(tenantId, { limit: PAGE, ...(after === undefined ? {} : { after }) })
    if (page.some((member) => member.active && member.role === 'owner' && member.userId !== userId)) return
    after = page.at(-1)?.userId
    if (page.length < PAGE) break
  }
  throw new ProblemError(409, 'LAST_OWNER', 'An organization needs an owner: make somebody else one first')
}
