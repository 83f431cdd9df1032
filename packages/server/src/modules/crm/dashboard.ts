import { sql } from 'kysely'
import * as api from '../../api/crm-bulk.ts'
import type { Database } from '../../http/resource.ts'
import { tenantRoute } from '../../http/route.ts'
import { contactColumns } from './contacts.ts'
import { dealColumns } from './deals.ts'

/** Records of each kind that are shown as recent. */
const RECENT = 5

/** What there is, and how it stands. */
export const dashboard = tenantRoute({
  method: 'GET',
  path: '/crm/dashboard',
  summary: 'Figures of the CRM: totals, deals by stage, value of the pipeline, what is new',
  access: 'viewer',
  answers: { 200: api.dashboard },
  // One snapshot: the figures agree with each other.
  handle: ({ tenant }) =>
    tenant.transaction(({ kysely }) => readDashboard(kysely), {
      isolation: 'repeatable read',
      readOnly: true,
    }),
})

async function readDashboard(db: Database) {
  const { rows } = await sql<Totals>`select
      (select count(*)::int from companies) as total_companies,
      (select count(*)::int from contacts) as total_contacts,
      count(*)::int as total_deals,
      coalesce(sum(amount) filter (where probability between 1 and 99), 0)::text as pipeline_value,
      round(coalesce(sum(amount * probability / 100) filter (where probability between 1 and 99), 0), 2)::text
        as weighted_value,
      coalesce(sum(amount) filter (where probability = 100), 0)::text as won_value
    from deals`.execute(db)
  const [totals] = rows
  if (totals === undefined) throw new Error('an aggregate has one row')
  const stages = await sql<StageFigure>`select
      stages.id as stage_id, stages.name, stages.position, stages.outcome,
      coalesce(figure.deal_count, 0) as deal_count, coalesce(figure.value, 0)::text as value
    from stages left join (
      select stage_id, count(*)::int as deal_count, sum(amount) as value from deals group by stage_id
    ) as figure on figure.stage_id = stages.id
    order by stages.position`.execute(db)
  const recent = { column: 'created_at', order: 'desc' } as const
  return {
    ...totals,
    deals_by_stage: stages.rows,
    recent_contacts: await db
      .selectFrom('contacts')
      .select(contactColumns)
      .orderBy(recent.column, recent.order)
      .orderBy('id', recent.order)
      .limit(RECENT)
      .execute(),
    recent_deals: await db
      .selectFrom('deals')
      .select(dealColumns)
      .orderBy(recent.column, recent.order)
      .orderBy('id', recent.order)
      .limit(RECENT)
      .execute(),
  }
}

interface Totals {
  readonly total_companies: number
  readonly total_contacts: number
  readonly total_deals: number
  readonly pipeline_value: string
  readonly weighted_value: string
  readonly won_value: string
}

interface StageFigure {
  readonly stage_id: string
  readonly name: string
  readonly position: number
  readonly outcome: 'won' | 'lost' | null
  readonly deal_count: number
  readonly value: string
}
