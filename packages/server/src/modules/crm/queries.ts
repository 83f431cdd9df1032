import type { TenantTables } from '@quickscale/tenancy/fastify'
import { type ExpressionBuilder, type Insertable, sql, type Updateable } from 'kysely'
import { type PageRequest, readPage } from '../../http/page.ts'
import type { Database } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'
import { memberName, memberNameContains } from '../teams/index.ts'
import type { CompanyTable, ContactTable, DealTable } from './tables.ts'

// ------------------------------------------------------------------------------------------------- companies

const companyColumns = ['id', 'name', 'website', 'industry', 'created_at'] as const

export function readCompanies(db: Database, request: PageRequest, search: string | undefined) {
  let query = db.selectFrom('companies').select(companyColumns)
  if (search !== undefined) query = query.where(contains([sql.ref('name'), sql.ref('industry')], search))
  return readPage(db, query, 'companies.id', request)
}

export function findCompany(db: Database, id: string) {
  return db.selectFrom('companies').select(companyColumns).where('id', '=', id).executeTakeFirst()
}

export function insertCompany(db: Database, values: Insertable<CompanyTable>) {
  return db.insertInto('companies').values(values).returning(companyColumns).executeTakeFirstOrThrow()
}

export function updateCompany(db: Database, id: string, change: Updateable<CompanyTable>) {
  return db
    .updateTable('companies')
    .set(change)
    .where('id', '=', id)
    .returning(companyColumns)
    .executeTakeFirst()
}

// -------------------------------------------------------------------------------------------------- contacts

const contactColumns = [
  'contacts.id',
  'contacts.first_name',
  'contacts.last_name',
  'contacts.email',
  'contacts.company_id',
  'contacts.created_at',
] as const

const contactName = sql<string>`contacts.first_name || ' ' || contacts.last_name`

/**
 * A subquery rather than a join: it serves SELECT and RETURNING alike, and a page looks up the names of its own rows
 * only, whatever the planner believes about the sizes. The foreign key makes sure that there is such a row.
 */
function companyNameOf(eb: ExpressionBuilder<TenantTables, 'contacts'>) {
  return eb
    .selectFrom('companies')
    .select('companies.name')
    .whereRef('companies.id', '=', 'contacts.company_id')
    .$asScalar()
    .$notNull()
    .as('company_name')
}

export function readContacts(db: Database, request: PageRequest, search: string | undefined) {
  let query = db.selectFrom('contacts').select(contactColumns).select(companyNameOf)
  if (search !== undefined) {
    query = query.where((eb) =>
      eb.or([
        contains([contactName, sql.ref('contacts.email')], search),
        eb(
          'company_id',
          'in',
          eb
            .selectFrom('companies')
            .select('id')
            .where(contains([sql.ref('name')], search)),
        ),
      ]),
    )
  }
  return readPage(db, query, 'contacts.id', request)
}

export function findContact(db: Database, id: string) {
  return db
    .selectFrom('contacts')
    .select(contactColumns)
    .select(companyNameOf)
    .where('id', '=', id)
    .executeTakeFirst()
}

export function insertContact(db: Database, values: Insertable<ContactTable>) {
  return db
    .insertInto('contacts')
    .values(values)
    .returning(contactColumns)
    .returning(companyNameOf)
    .executeTakeFirstOrThrow()
}

export function updateContact(db: Database, id: string, change: Updateable<ContactTable>) {
  return db
    .updateTable('contacts')
    .set(change)
    .where('id', '=', id)
    .returning(contactColumns)
    .returning(companyNameOf)
    .executeTakeFirst()
}

// ---------------------------------------------------------------------------------------- stages and deals

export function readStages(db: Database) {
  return db.selectFrom('stages').select(['id', 'name', 'position']).orderBy('position').execute()
}

const dealColumns = [
  'deals.id',
  'deals.title',
  'deals.amount',
  'deals.contact_id',
  'deals.stage_id',
  'deals.owner_id',
  'deals.created_at',
] as const

const ownerName = memberName('deals.owner_id').as('owner')

function contactNameOf(eb: ExpressionBuilder<TenantTables, 'deals'>) {
  return eb
    .selectFrom('contacts')
    .select(contactName.as('name'))
    .whereRef('contacts.id', '=', 'deals.contact_id')
    .$asScalar()
    .$notNull()
    .as('contact_name')
}

function stageNameOf(eb: ExpressionBuilder<TenantTables, 'deals'>) {
  return eb
    .selectFrom('stages')
    .select('stages.name')
    .whereRef('stages.id', '=', 'deals.stage_id')
    .$asScalar()
    .$notNull()
    .as('stage_name')
}

export function readDeals(db: Database, request: PageRequest, search: string | undefined) {
  let query = db.selectFrom('deals').select(dealColumns).select([contactNameOf, stageNameOf, ownerName])
  if (search !== undefined) {
    query = query.where((eb) =>
      eb.or([
        contains([sql.ref('deals.title')], search),
        memberNameContains('deals.owner_id', search),
        eb(
          'contact_id',
          'in',
          eb
            .selectFrom('contacts')
            .select('id')
            .where(contains([contactName], search)),
        ),
      ]),
    )
  }
  return readPage(db, query, 'deals.id', request)
}

export function findDeal(db: Database, id: string) {
  return db
    .selectFrom('deals')
    .select(dealColumns)
    .select([contactNameOf, stageNameOf, ownerName])
    .where('id', '=', id)
    .executeTakeFirst()
}

export function insertDeal(db: Database, values: Insertable<DealTable>) {
  return db
    .insertInto('deals')
    .values(values)
    .returning(dealColumns)
    .returning([contactNameOf, stageNameOf, ownerName])
    .executeTakeFirstOrThrow()
}

export function updateDeal(db: Database, id: string, change: Updateable<DealTable>) {
  return db
    .updateTable('deals')
    .set(change)
    .where('id', '=', id)
    .returning(dealColumns)
    .returning([contactNameOf, stageNameOf, ownerName])
    .executeTakeFirst()
}

// ---------------------------------------------------------------------------------------------------- shared

/** @returns whether there was such a row */
export async function remove(
  db: Database,
  table: 'companies' | 'contacts' | 'deals' | 'tags' | 'contact_notes' | 'deal_notes',
  id: string,
): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom(table).where('id', '=', id).executeTakeFirst()
  return numDeletedRows > 0n
}

/** The stages every pipeline begins with; what exists already stays as it is. */
export async function insertStages(db: Database, names: readonly string[]): Promise<void> {
  await db
    .insertInto('stages')
    .values(names.map((name, index) => ({ name, position: index + 1 })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
