import { sql } from 'kysely'
import type { BillingOptions } from '../options.ts'
import type { Db } from '../tables.ts'
import type { Usage } from './record.ts'

// An organization may be below another one, whose quota of a meter is for all of them together. Events are in the places of each; so
// that nobody has to be asked, the sums of a month are kept beside the catalog too. Whoever is in such a tree counts there, under locks,
// before the event is committed: no limit is passed, however many record at once. What is not committed after all has been counted, until the
// next event, or the roll-up, says what the sum is.

/** An organization that something was counted for. */
export interface Counted {
  readonly organization: string
  readonly plan: string
  /** With all below it. */
  readonly used: number
  /** Whether it may not have as much; then nothing was counted. */
  readonly refused: boolean
}

/**
 * Counts what an organization has used of a month, for itself and those above it.
 *
 * @param usage to be read where nobody changes it until this has returned
 * @param plans whose hard limits hold. @defaultValue none do
 * @returns each of them
 */
export async function countUsage(
  db: Db,
  tenantId: string,
  { meter, period, total }: Usage,
  plans: BillingOptions['plans'] = {},
): Promise<readonly Counted[]> {
  const allowed = Object.fromEntries(
    Object.entries(plans).flatMap(([plan, { quotas }]) => {
      const hard = quotas[meter]?.hard
      return hard === undefined ? [] : [[plan, hard]]
    }),
  )
  const { rows } = await sql<Counted>`
    select organization, plan, used::float8 as used, refused
      from billing.count_usage(${tenantId}, ${meter}, ${period}::date, ${total}::bigint, ${JSON.stringify(allowed)}::jsonb)`.execute(
    db,
  )
  return rows
}

/** Whether an organization has others below it. */
export async function hasChildren(db: Db, tenantId: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from billing.children_of(${tenantId})) as found`.execute(db)
  return rows[0]?.found === true
}

/** What all below an organization have used in a month, by meter; null when there are none. */
export async function readBelow(
  db: Db,
  tenantId: string,
  period: string,
): Promise<ReadonlyMap<string, number> | null> {
  const { rows } = await sql<{ meter: string | null; below: number }>`
    select meter, below::float8 as below
      from (select exists (select from billing.children_of(${tenantId})) as found) as children
      left join billing.usage_month on tenant_id = ${tenantId} and period = ${period}::date
     where found`.execute(db)
  if (rows.length === 0) return null
  return new Map(rows.flatMap(({ meter, below }) => (meter === null ? [] : [[meter, below] as const])))
}

/** An organization directly below another one, and what it has used together with those below it. */
export interface Child {
  readonly id: string
  readonly slug: string
  readonly name: string
  readonly state: string
  readonly used: Readonly<Record<string, number>>
}

/** Those that are not deleted, in the order of their slugs, from behind one on. */
export async function listChildren(
  db: Db,
  tenantId: string,
  { period, after, limit }: { readonly period: string; readonly after: string; readonly limit: number },
): Promise<readonly Child[]> {
  const { rows } = await sql<Child>`
    select child.id, child.slug, child.name, child.state,
           (select coalesce(jsonb_object_agg(meter, own + below), '{}') from billing.usage_month
             where tenant_id = child.id and period = ${period}::date) as used
      from billing.children_of(${tenantId}) as child
     where child.slug > ${after} and child.state <> 'deleted'
     order by child.slug limit ${limit}`.execute(db)
  return rows
}
