import { type Expression, type SqlBool, sql } from 'kysely'
import type { z } from 'zod'
import * as api from '../../api/crm.ts'
import { requireMember } from '../../http/authorship.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { assertKnown } from '../../http/references.ts'
import { type Database, serveResource } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'
import { memberName, memberNameContains } from '../teams/index.ts'
import { contactName } from './contacts.ts'
import { hasTags, noTagNames, tagNames } from './tagged.ts'

const ofContact = sql`from contacts where contacts.id = deals.contact_id`

const ownColumns = [
  'id',
  'title',
  'amount',
  'probability',
  // As text: a date has no zone, a Date has.
  sql<string | null>`deals.expected_close_date::text`.as('expected_close_date'),
  'contact_id',
  sql<string>`(select ${contactName} ${ofContact})`.as('contact_name'),
  sql<string>`(select contacts.company_id ${ofContact})`.as('company_id'),
  sql<string>`(select companies.name from contacts join companies on companies.id = contacts.company_id
    where contacts.id = deals.contact_id)`.as('company_name'),
  'stage_id',
  sql<string>`(select stages.name from stages where stages.id = deals.stage_id)`.as('stage_name'),
  'owner_id',
  memberName('deals.owner_id').as('owner'),
  'created_at',
  'updated_at',
] as const

/** Of a row of `deals`; the dashboard shows them too. */
export const dealColumns = [...ownColumns, tagNames('deals').as('tag_names')] as const

type Filters = z.output<typeof api.dealList>

async function readDeals(db: Database, request: PageRequest, search: string | undefined, filters: Filters) {
  const { stage_id, owner_id, company_id, tags = [] } = filters
  let query = db.selectFrom('deals').select(dealColumns)
  if (search !== undefined) query = query.where(matches(search))
  if (stage_id !== undefined) query = query.where('stage_id', '=', stage_id)
  if (owner_id !== undefined) query = query.where('owner_id', '=', owner_id)
  if (company_id !== undefined) query = query.where(isOfCompany(company_id))
  if (tags.length > 0) query = query.where(hasTags('deals', tags))
  const page = await readPage(db, query, 'deals.id', request)
  if (page.rows.length === 0) await assertFiltersKnown(db, filters)
  return page
}

function assertFiltersKnown(db: Database, { stage_id, owner_id, company_id, tags = [] }: Filters) {
  const one = (value: string | undefined) => (value === undefined ? [] : [value])
  return assertKnown(db, [
    { field: 'stage_id', table: 'stages', ids: one(stage_id) },
    { field: 'owner_id', table: 'member', key: 'user_id', ids: one(owner_id) },
    { field: 'company_id', table: 'companies', ids: one(company_id) },
    { field: 'tags', table: 'tags', ids: tags },
  ])
}

const isOfCompany = (id: string) =>
  sql<boolean>`deals.contact_id in (select contacts.id from contacts where contacts.company_id = ${id})`

function matches(search: string): Expression<SqlBool> {
  const contact = contains([contactName], search)
  return sql<boolean>`(${contains([sql.ref('deals.title')], search)}
    or ${memberNameContains('deals.owner_id', search)}
    or deals.contact_id in (select contacts.id from contacts where ${contact}))`
}

export const deals = serveResource({
  name: 'deals',
  one: 'a deal',
  item: api.deal,
  create: api.dealCreate,
  change: api.dealChange,
  list: api.dealList,
  sorts: {
    created_at: { column: 'deals.created_at', order: 'desc' },
    amount: { column: 'deals.amount', order: 'desc', nullable: true },
    title: { column: 'deals.title', order: 'asc' },
    expected_close_date: { column: 'deals.expected_close_date', order: 'asc', nullable: true },
  },
  readPage: readDeals,
  find: (db, id) => db.selectFrom('deals').select(dealColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values, { caller }) =>
    db
      .insertInto('deals')
      .values({ ...values, owner_id: requireMember(values.owner_id ?? caller?.userId, 'owner_id') })
      .returning([...ownColumns, noTagNames.as('tag_names')])
      .executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('deals')
      .set({ ...change, updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .returning(dealColumns)
      .executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('deals').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})
