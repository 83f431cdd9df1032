import { sql } from 'kysely'
import * as api from '../../api/crm.ts'
import { readPage } from '../../http/page.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { type Database, serveResource } from '../../http/resource.ts'
import { tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import type { Outcome } from './tables.ts'

const columns = [
  'id',
  'name',
  'position',
  'outcome',
  sql<number>`(select count(*)::int from deals where deals.stage_id = stages.id)`.as('deal_count'),
] as const

const last = sql<number>`(select coalesce(max(position), 0) + 1 from stages)`

export const stages = serveResource({
  name: 'stages',
  one: 'a stage',
  item: api.stage,
  create: api.stageCreate,
  change: api.stageChange,
  list: api.stageList,
  sorts: {
    position: { column: 'stages.position', order: 'asc' },
    name: { column: 'stages.name', order: 'asc' },
  },
  readPage: (db, request, search) => {
    let query = db.selectFrom('stages').select(columns)
    if (search !== undefined) query = query.where(contains([sql.ref('name')], search))
    return readPage(db, query, 'stages.id', request)
  },
  find: (db, id) => db.selectFrom('stages').select(columns).where('id', '=', id).executeTakeFirst(),
  insert: (db, { position, ...values }) =>
    db
      .insertInto('stages')
      .values({ ...values, position: position ?? last })
      .returning(columns)
      .executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db.updateTable('stages').set(change).where('id', '=', id).returning(columns).executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('stages').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})

/** Puts the stages in another order, all at once. */
export const reorderStages = tenantRoute({
  method: 'PUT',
  path: '/stages/order',
  summary: 'Puts the stages in another order',
  access: 'admin',
  impersonated: true,
  body: api.stageOrder,
  answers: { 200: api.stagesInOrder },
  handle: ({ inTransaction, body }) => inTransaction((db) => reorder(db, body.stage_ids)),
})

async function reorder(db: Database, ids: readonly string[]) {
  const present = await db.selectFrom('stages').select('id').forUpdate().execute()
  const wanted = new Set(ids)
  if (
    wanted.size !== ids.length ||
    present.length !== ids.length ||
    !present.every(({ id }) => wanted.has(id))
  ) {
    throw new ProblemError(422, 'RULE_VIOLATED', 'stage_ids must name every stage of the tenant once', [
      { in: 'body', path: '/stage_ids', message: 'must name every stage of the tenant once' },
    ])
  }
  // Out of the way first: positions are unique after every row, not only at the end.
  await sql`update stages set position = -position`.execute(db)
  await sql`update stages set position = wanted.position
              from unnest(${[...ids]}::uuid[]) with ordinality as wanted (id, position)
             where stages.id = wanted.id`.execute(db)
  return { items: await db.selectFrom('stages').select(columns).orderBy('position').execute() }
}

/** The stages every pipeline begins with; what exists already stays as it is. */
export async function insertStages(
  db: Database,
  stages: readonly { readonly name: string; readonly outcome: Outcome | null }[],
): Promise<void> {
  await db
    .insertInto('stages')
    .values(stages.map((stage, index) => ({ ...stage, position: index + 1 })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
