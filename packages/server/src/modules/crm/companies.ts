import { sql } from 'kysely'
import * as api from '../../api/crm.ts'
import { readPage } from '../../http/page.ts'
import { serveResource } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'

const ownColumns = ['id', 'name', 'website', 'industry', 'created_at', 'updated_at'] as const
const columns = [
  ...ownColumns,
  sql<number>`(select count(*)::int from contacts where contacts.company_id = companies.id)`.as(
    'contact_count',
  ),
] as const
/** Of one that has just been made: nobody works there yet. */
const newColumns = [...ownColumns, sql<number>`0`.as('contact_count')] as const

export const companies = serveResource({
  name: 'companies',
  one: 'a company',
  oneStatement: true,
  item: api.company,
  create: api.companyCreate,
  change: api.companyChange,
  list: api.companyList,
  sorts: {
    name: { column: 'companies.name', order: 'asc' },
    created_at: { column: 'companies.created_at', order: 'desc' },
    industry: { column: 'companies.industry', order: 'asc', nullable: true },
  },
  readPage: (db, request, search, { industry }) => {
    let query = db.selectFrom('companies').select(columns)
    if (search !== undefined) query = query.where(contains([sql.ref('name'), sql.ref('industry')], search))
    if (industry !== undefined) query = query.where('industry', '=', industry)
    return readPage(db, query, 'companies.id', request)
  },
  find: (db, id) => db.selectFrom('companies').select(columns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('companies').values(values).returning(newColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('companies')
      .set({ ...change, updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('companies').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})
