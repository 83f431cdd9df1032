import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { CatalogTables } from '../catalog/tables.ts'
import { limits } from '../limits.ts'
import type { Fact } from './checks.ts'

/** Tenants whose place has not followed changes of their members, however often they were delivered. */
export async function examineDeliveries(db: Kysely<CatalogTables>): Promise<Fact[]> {
  const rows = await db
    .selectFrom('member_outbox')
    .select(['tenant_id as tenantId', 'failure', sql<string>`count(*)`.as('changes')])
    .where('attempts', '>=', limits.memberAttemptsStuck)
    .groupBy(['tenant_id', 'failure'])
    .orderBy('tenant_id')
    .limit(limits.tenantsPerPageMax)
    .execute()
  return rows.map(({ tenantId, failure, changes }) => ({
    check: 'members-stuck',
    subject: tenantId,
    detail: `${changes} of them fail with ${failure ?? 'no code'}`,
  }))
}
