import { QuickScaleError, type Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { sql } from 'kysely'
import type { Database } from '../http/resource.ts'
import { type Annotations, annotate } from './annotations.ts'
import { type DemoData, generateData } from './generator.ts'
import type { DemoTenant } from './tenants.ts'

/** Rows per INSERT: far below the 65,535 parameters a statement can have. */
const BATCH_ROWS = 250

const tables = [
  'member',
  'companies',
  'contacts',
  'stages',
  'deals',
  'tags',
  'contact_tags',
  'deal_tags',
  'contact_notes',
  'deal_notes',
  'posts',
  'categories',
  'author_profiles',
  'blog_tags',
  'post_tags',
] as const

/** Where a demo tenant lives and how much it holds. */
export interface Resident {
  readonly slug: string
  readonly plan: string
  readonly strategy: string
  readonly database: string
  readonly schema: string
  readonly rows: number
}

/**
 * Makes a demo tenant with its data; what exists already is left as it is.
 *
 * @param onRows called with the rows written so far and the rows there will be
 */
export async function provisionTenant(
  tenancy: Tenancy<TenantTables>,
  demo: DemoTenant,
  onRows: (written: number, total: number) => void,
): Promise<Resident> {
  const { slug, name, plan } = demo
  try {
    await tenancy.tenants.create({ slug, name, plan })
  } catch (error) {
    if (!(error instanceof QuickScaleError) || error.code !== 'TENANT_EXISTS') throw error
  }
  const tenant = tenancy.tenant(slug)
  if (await isEmpty(tenant.kysely)) {
    const data = await generate(tenant.kysely, demo)
    for (const member of data.members) await tenancy.members.put(slug, member)
    await tenancy.members.deliver()
    // One transaction: a start that is interrupted leaves all of the data or none.
    await tenant.transaction((tx) => fill(tx.kysely, slug, data, onRows))
  }
  const placement = await tenancy.tenants.placement(slug)
  return {
    slug,
    plan: (await tenancy.tenants.get(slug)).plan,
    strategy: placement.strategy,
    database: placement.databaseName,
    schema: placement.schemaName,
    rows: await countRows(tenant.kysely),
  }
}

async function generate(db: Database, { slug, size }: DemoTenant): Promise<DemoData> {
  const stages = await db.selectFrom('stages').select('id').orderBy('position').execute()
  return generateData(
    slug,
    size,
    stages.map(({ id }) => id),
  )
}

async function fill(
  db: Database,
  seed: string,
  data: DemoData,
  onRows: (written: number, total: number) => void,
): Promise<void> {
  const more = annotate(seed, data)
  const total = [data.companies, data.contacts, data.deals, ...Object.values(more)].reduce(
    (sum, rows) => sum + rows.length,
    0,
  )
  let written = 0
  const count = (rows: readonly unknown[]) => {
    written += rows.length
    onRows(written, total)
  }
  for (const rows of batches(data.companies))
    count(await insert(db.insertInto('companies').values(rows), rows))
  for (const rows of batches(data.contacts)) count(await insert(db.insertInto('contacts').values(rows), rows))
  for (const rows of batches(data.deals)) count(await insert(db.insertInto('deals').values(rows), rows))
  for (const rows of batches(more.categories))
    count(await insert(db.insertInto('categories').values(rows), rows))
  for (const rows of batches(more.authorProfiles))
    count(await insert(db.insertInto('author_profiles').values(rows), rows))
  for (const rows of batches(more.posts)) count(await insert(db.insertInto('posts').values(rows), rows))
  await annotateRecords(db, more, count)
}

async function annotateRecords(
  db: Database,
  more: Annotations,
  count: (rows: readonly unknown[]) => void,
): Promise<void> {
  for (const rows of batches(more.tags)) count(await insert(db.insertInto('tags').values(rows), rows))
  for (const rows of batches(more.contactTags))
    count(await insert(db.insertInto('contact_tags').values(rows), rows))
  for (const rows of batches(more.dealTags))
    count(await insert(db.insertInto('deal_tags').values(rows), rows))
  for (const rows of batches(more.contactNotes))
    count(await insert(db.insertInto('contact_notes').values(rows), rows))
  await sql`update contacts set last_contacted_at = note.newest
    from (select contact_id, max(created_at) as newest from contact_notes group by contact_id) as note
    where note.contact_id = contacts.id`.execute(db)
  for (const rows of batches(more.dealNotes))
    count(await insert(db.insertInto('deal_notes').values(rows), rows))
  for (const rows of batches(more.blogTags))
    count(await insert(db.insertInto('blog_tags').values(rows), rows))
  for (const rows of batches(more.postTags))
    count(await insert(db.insertInto('post_tags').values(rows), rows))
}

async function insert<Row>(
  statement: { execute(): Promise<unknown> },
  rows: readonly Row[],
): Promise<readonly Row[]> {
  await statement.execute()
  return rows
}

function batches<Row>(rows: readonly Row[]): Row[][] {
  const count = Math.ceil(rows.length / BATCH_ROWS)
  return Array.from({ length: count }, (_, index) => rows.slice(index * BATCH_ROWS, (index + 1) * BATCH_ROWS))
}

async function isEmpty(db: Database): Promise<boolean> {
  const { filled } = await db
    .selectNoFrom((eb) =>
      eb
        .or([
          eb.exists(eb.selectFrom('companies').select('id')),
          eb.exists(eb.selectFrom('posts').select('id')),
        ])
        .as('filled'),
    )
    .executeTakeFirstOrThrow()
  return !filled
}

async function countRows(db: Database): Promise<number> {
  const counts = await db
    .selectNoFrom((eb) =>
      tables.map((table) => eb.selectFrom(table).select(eb.fn.countAll().as('count')).as(table)),
    )
    .executeTakeFirstOrThrow()
  return Object.values(counts).reduce<number>((sum, count) => sum + Number(count), 0)
}
