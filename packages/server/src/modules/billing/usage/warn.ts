import { sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { Db } from '../tables.ts'
import { monthOf } from './record.ts'

interface Warning {
  readonly tenantId: string
  readonly quota: string
  readonly used: number
  /** Whether those below have used it too. */
  readonly together: boolean
  readonly hard: number | undefined
}

const MEMBERS_MAX = 1_000

/** Writes to the owners of a tenant that a quota is nearly used up: once a month. A mail that could not be sent is sent later. */
export function createWarner({ tenancy, mailer }: Pick<Services, 'tenancy' | 'mailer'>, db: Db) {
  const warned = new LRUCache<string, true>({ max: limits.usageMarksKept })
  return async ({ tenantId, quota, used, together, hard }: Warning): Promise<void> => {
    const period = monthOf(new Date())
    const name = `${tenantId} ${quota} ${period}`
    if (warned.has(name)) return
    await db.transaction().execute(async (transaction) => {
      const { numInsertedOrUpdatedRows } = await transaction
        .insertInto('quota_warning')
        .values({ tenant_id: tenantId, quota, period: sql<string>`${period}::date` })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      if (numInsertedOrUpdatedRows === 0n) return
      const tenant = await tenancy.tenants.get(tenantId)
      const members = await tenancy.members.list(tenantId, { limit: MEMBERS_MAX })
      const most = hard === undefined ? '' : ` of ${hard}`
      const by = together ? ', by the organizations below too' : ''
      for (const { email, role, active } of members) {
        if (!active || role !== 'owner' || email == null) continue
        await mailer.send({
          to: email,
          subject: `${tenant.name.replace(/\s+/g, ' ')}: ${quota} is nearly used up`,
          text: `This month ${used}${most} were used${by}. Choose another plan if you need more.`,
        })
      }
    })
    warned.set(name, true)
  }
}
