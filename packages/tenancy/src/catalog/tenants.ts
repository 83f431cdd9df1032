import { type Kysely, type Selectable, sql } from 'kysely'
import pg from 'pg'
import { assertNumber, assertObject } from '../arguments.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Tenant, TenantState } from '../tenant.ts'
import type { CatalogTables } from './tables.ts'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const slug = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** A tenant key, read: a slug or a uuid, never both. */
export type TenantKey = { readonly id: string } | { readonly slug: string }

/**
 * @throws QuickScaleError `TENANT_KEY_INVALID`
 */
export function parseTenantKey(key: unknown): TenantKey {
  if (typeof key === 'string' && uuid.test(key)) return { id: key }
  return { slug: parseSlug(key) }
}

/**
 * @throws QuickScaleError `TENANT_KEY_INVALID`, for a slug in the shape of a uuid too
 */
export function parseSlug(value: unknown): string {
  if (typeof value !== 'string' || !slug.test(value) || uuid.test(value)) {
    throw new QuickScaleError('TENANT_KEY_INVALID', { key: String(value).slice(0, 80) })
  }
  return value
}

/** @throws QuickScaleError `TENANT_INVALID` */
export function parseName(value: unknown): string {
  const name = typeof value === 'string' ? value.trim() : ''
  // PostgreSQL keeps neither half a surrogate pair nor NUL.
  const storable = name.isWellFormed() && !name.includes('\0')
  if (name === '' || !storable || name.length > limits.tenantNameLengthMax) {
    throw new QuickScaleError('TENANT_INVALID', { field: 'name' })
  }
  return name
}

/** Which tenants to list, in the order of their slugs. */
export interface TenantFilter {
  readonly plan?: string
  readonly state?: TenantState
  /** Slug of the last tenant of the page before. */
  readonly after?: string
  /** 1 to 1000. @defaultValue 100 */
  readonly limit?: number
}

export async function findTenant(db: Kysely<CatalogTables>, key: TenantKey): Promise<Tenant | null> {
  const query = db.selectFrom('tenant').selectAll()
  const row = await ('id' in key
    ? query.where('id', '=', key.id)
    : query.where('slug', '=', key.slug).where('state', '<>', 'deleted')
  ).executeTakeFirst()
  return row === undefined ? null : toTenant(row)
}

/**
 * The tenant that another one is to be below.
 *
 * @returns its id
 * @throws QuickScaleError `TENANT_NOT_FOUND`, `TENANT_DELETED`, `TENANT_KEY_INVALID`
 */
export async function findParent(db: Kysely<CatalogTables>, key: string): Promise<string> {
  const parent = await findTenant(db, parseTenantKey(key))
  if (parent === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key })
  if (parent.state === 'deleting' || parent.state === 'deleted')
    throw new QuickScaleError('TENANT_DELETED', { key })
  return parent.id
}

export async function listTenants(
  db: Kysely<CatalogTables>,
  filter: TenantFilter,
): Promise<{ tenants: Tenant[]; next: string | null }> {
  assertObject('filter', filter)
  assertNumber('limit', filter.limit)
  const limit = Math.min(Math.max(1, Math.trunc(filter.limit ?? 100)), limits.tenantsPerPageMax)
  let query = db
    .selectFrom('tenant')
    .selectAll()
    .orderBy('slug')
    .limit(limit + 1)
  if (filter.plan !== undefined) query = query.where('plan_id', '=', filter.plan)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state)
  if (filter.after !== undefined) query = query.where('slug', '>', filter.after)
  const rows = await query.execute()
  const tenants = rows.slice(0, limit).map(toTenant)
  return { tenants, next: rows.length > limit ? (tenants.at(-1)?.slug ?? null) : null }
}

/** What update() and rename() may change. */
export interface TenantChanges {
  readonly slug?: string
  readonly name?: string
  readonly plan?: string
  readonly parentId?: string | null
}

/**
 * @throws QuickScaleError `TENANT_EXISTS` when the slug is another tenant's, `SLUG_RESTING` when it once was, `TENANT_INVALID`
 *   when too many would be above the tenant, or above one below it
 */
export async function updateTenant(
  db: Kysely<CatalogTables>,
  id: string,
  { slug, name, plan, parentId }: TenantChanges,
): Promise<Tenant> {
  const row = await db
    .updateTable('tenant')
    .set({
      ...(slug === undefined ? {} : { slug }),
      ...(name === undefined ? {} : { name }),
      ...(plan === undefined ? {} : { plan_id: plan }),
      ...(parentId === undefined ? {} : { parent_id: parentId }),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch((cause: unknown) => explainTenant(cause, slug ?? '', plan))
  return toTenant(row)
}

/** Slugs of the tenants below this one that are not deleted; the first few. */
export async function listChildren(db: Kysely<CatalogTables>, id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('tenant')
    .select('slug')
    .where('parent_id', '=', id)
    .where('state', '<>', 'deleted')
    .orderBy('slug')
    .limit(childrenNamed)
    .execute()
  return rows.map((row) => row.slug)
}

/** Nobody else gives a tenant a parent until the transaction ends: two that are asked at once would not see each other. */
export async function holdTree(db: Kysely<CatalogTables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('quickscale tree', 0))`.execute(db)
}

/** Whether a tenant is another one, or somewhere below it. */
export async function isWithin(db: Kysely<CatalogTables>, id: string, ancestorId: string): Promise<boolean> {
  const { rows } = await sql<{ within: boolean }>`
    with recursive ancestors (id, parent_id) as (
      select id, parent_id from catalog.tenant where id = ${id}
      union
      select tenant.id, tenant.parent_id from catalog.tenant join ancestors on ancestors.parent_id = tenant.id
    )
    select exists (select from ancestors where id = ${ancestorId}) as within`.execute(db)
  return rows[0]?.within === true
}

const childrenNamed = 5
/** SQLSTATE of sql/catalog for a slug that was another tenant's a moment ago. */
const slugResting = 'QS008'
/** SQLSTATE of sql/catalog for a parent under which a tenant, or one below it, has too many above it. */
const treeTooDeep = 'QS009'
/** Unique: slugs of living tenants, and ids. */
const taken = new Set(['tenant_slug', 'tenant_pkey'])

/** Names what the catalog has refused a slug, an id, a plan or a parent for. */
export function explainTenant(cause: unknown, slug: string, plan = ''): never {
  if (cause instanceof pg.DatabaseError && cause.constraint === 'tenant_plan_id_fkey') {
    throw new QuickScaleError(
      'PLAN_UNKNOWN',
      { plan, known: 'those it had at the last migrate()' },
      { cause },
    )
  }
  if (cause instanceof pg.DatabaseError && cause.code === slugResting) {
    throw new QuickScaleError('SLUG_RESTING', { slug }, { cause })
  }
  if (cause instanceof pg.DatabaseError && cause.code === treeTooDeep) {
    throw new QuickScaleError('TENANT_INVALID', { field: 'parent' }, { cause })
  }
  if (cause instanceof pg.DatabaseError && taken.has(cause.constraint ?? '')) {
    throw new QuickScaleError('TENANT_EXISTS', { key: slug }, { cause })
  }
  throw cause
}

/** A tenant as a query gives it, or as JSON. */
export type TenantRow = Omit<Selectable<CatalogTables['tenant']>, 'activated_at' | 'created_at'> & {
  created_at: Date | string
}

export function toTenant(row: TenantRow): Tenant {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    plan: row.plan_id,
    state: row.state,
    settled: row.settled,
    parentId: row.parent_id,
    region: row.region,
    createdAt: new Date(row.created_at),
  }
}
