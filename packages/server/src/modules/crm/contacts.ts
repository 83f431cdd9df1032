import { type Expression, type SqlBool, sql } from 'kysely'
import type { z } from 'zod'
import * as api from '../../api/crm.ts'
import { type Page, type PageRequest, readPage } from '../../http/page.ts'
import { assertKnown } from '../../http/references.ts'
import { type Database, serveResource } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'
import { hasTags, noTagNames, tagNames } from './tagged.ts'

/** The name of a row of `contacts`. */
export const contactName = sql<string>`contacts.first_name || ' ' || contacts.last_name`

// Subqueries rather than joins: they serve SELECT and RETURNING alike, and a page looks up what belongs to its own rows
// only, whatever the planner believes about the sizes. The foreign key makes sure that there is a company.
const ownColumns = [
  'id',
  'first_name',
  'last_name',
  contactName.as('full_name'),
  'email',
  'phone',
  'title',
  'status',
  'company_id',
  sql<string>`(select companies.name from companies where companies.id = contacts.company_id)`.as(
    'company_name',
  ),
  'last_contacted_at',
  'created_at',
  'updated_at',
] as const

/** Of a row of `contacts`; the dashboard shows them too. */
export const contactColumns = [
  ...ownColumns,
  tagNames('contacts').as('tag_names'),
  sql<number>`(select count(*)::int from deals where deals.contact_id = contacts.id)`.as('deal_count'),
] as const

/** The same of one that has just been made: nothing belongs to it yet. */
const newContactColumns = [
  ...ownColumns,
  noTagNames.as('tag_names'),
  sql<number>`0`.as('deal_count'),
] as const

type Filters = z.output<typeof api.contactList>

async function readContacts(
  db: Database,
  request: PageRequest,
  search: string | undefined,
  { status, company_id, tags = [] }: Filters,
) {
  let query = db.selectFrom('contacts').select(contactColumns)
  if (search !== undefined) query = query.where(matches(search))
  if (status !== undefined) query = query.where('status', '=', status)
  if (company_id !== undefined) query = query.where('company_id', '=', company_id)
  if (tags.length > 0) query = query.where(hasTags('contacts', tags))
  const page = await readPage(db, query, 'contacts.id', request)
  if (isEmpty(page)) {
    await assertKnown(db, [
      { field: 'company_id', table: 'companies', ids: company_id === undefined ? [] : [company_id] },
      { field: 'tags', table: 'tags', ids: tags },
    ])
  }
  return page
}

const isEmpty = ({ rows }: Page<unknown>) => rows.length === 0

function matches(search: string): Expression<SqlBool> {
  const company = contains([sql.ref('companies.name')], search)
  return sql<boolean>`(${contains([contactName, sql.ref('contacts.email')], search)}
    or contacts.company_id in (select companies.id from companies where ${company}))`
}

export const contacts = serveResource({
  name: 'contacts',
  one: 'a contact',
  gauge: 'contacts',
  oneStatement: true,
  item: api.contact,
  create: api.contactCreate,
  change: api.contactChange,
  list: api.contactList,
  sorts: {
    created_at: { column: 'contacts.created_at', order: 'desc' },
    last_name: { column: 'contacts.last_name', order: 'asc' },
    first_name: { column: 'contacts.first_name', order: 'asc' },
    email: { column: 'contacts.email', order: 'asc' },
    last_contacted_at: { column: 'contacts.last_contacted_at', order: 'desc', nullable: true },
  },
  readPage: readContacts,
  find: (db, id) => db.selectFrom('contacts').select(contactColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('contacts').values(values).returning(newContactColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('contacts')
      .set({ ...change, updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .returning(contactColumns)
      .executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('contacts').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})

export async function countContacts(db: Database): Promise<number> {
  const { count } = await db
    .selectFrom('contacts')
    .select(sql<number>`count(*)::float8`.as('count'))
    .executeTakeFirstOrThrow()
  return count
}
