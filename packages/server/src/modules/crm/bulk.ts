import { sql } from 'kysely'
import * as api from '../../api/crm-bulk.ts'
import { ProblemError } from '../../http/problem-error.ts'
import type { Database } from '../../http/resource.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import type { Outcome } from './tables.ts'

const route = { method: 'POST', access: 'member', answers: { 200: api.dealsChanged } } as const
const marking = { won: 100, lost: 0 } as const

/** Changes of many deals at once: of all that are named, or of none. */
export const bulkRoutes: readonly Route[] = [
  tenantRoute({
    ...route,
    path: '/deals/bulk/stage',
    summary: 'Puts deals into a stage',
    body: api.dealsToStage,
    handle: ({ inTransaction, body: { deal_ids, stage_id } }) =>
      inTransaction(async (db) => {
        await changeAll(db, deal_ids, { stage_id })
        return { updated: deal_ids.length, stage_id }
      }),
  }),
  ...(['won', 'lost'] as const).map((outcome) =>
    tenantRoute({
      ...route,
      path: `/deals/bulk/${outcome}`,
      summary: `Marks deals as ${outcome}`,
      body: api.dealsNamed,
      handle: ({ inTransaction, body: { deal_ids } }) => inTransaction((db) => mark(db, deal_ids, outcome)),
    }),
  ),
]

async function mark(db: Database, ids: readonly string[], outcome: Outcome) {
  const stage = await db.selectFrom('stages').select('id').where('outcome', '=', outcome).executeTakeFirst()
  const probability = marking[outcome]
  await changeAll(db, ids, { probability, ...(stage && { stage_id: stage.id }) })
  return { updated: ids.length, stage_id: stage?.id ?? null }
}

/** @throws ProblemError `NOT_FOUND`, which takes the transaction back */
async function changeAll(
  db: Database,
  ids: readonly string[],
  change: { readonly stage_id?: string; readonly probability?: number },
): Promise<void> {
  // In the order of their ids, so that two changes of the same deals wait for each other instead of both failing.
  const locked = await db
    .selectFrom('deals')
    .select('id')
    .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
    .orderBy('id')
    .forUpdate()
    .execute()
  if (locked.length !== ids.length) {
    throw new ProblemError(404, 'NOT_FOUND', 'deal_ids names deals that are not in this tenant', [
      { in: 'body', path: '/deal_ids', message: 'names deals that are not in this tenant' },
    ])
  }
  await db
    .updateTable('deals')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
    .execute()
}
