import { sql } from 'kysely'
import { ProblemError } from '../../../http/problem-error.ts'
import type { Database } from '../../../http/route.ts'

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    usage_event: { meter: string; key: string; quantity: string; recorded_at: Date }
    usage_total: { meter: string; period: string; quantity: string }
  }
}

export interface UsageEvent {
  readonly meter: string
  readonly quantity: number
  readonly key: string
}

/** What there is of a meter in a month. */
export interface Usage {
  readonly meter: string
  /** The first day of the month (UTC). */
  readonly period: string
  readonly total: number
}

/** The month of a moment, in UTC. */
export const monthOf = (moment: Date): string => `${moment.toISOString().slice(0, 7)}-01`

/**
 * Writes down what was used, once for each key, and adds it to the month's total. The row of the total is held until the
 * transaction ends: what is refused afterwards was never added, and nobody gets in between.
 *
 * @returns the month's total, and whether it has grown
 * @throws ProblemError `USAGE_KEY_REUSED` for another quantity under the same key
 */
export async function recordUsage(
  db: Database,
  { meter, quantity, key }: UsageEvent,
): Promise<Usage & { readonly added: boolean }> {
  const { rows } = await sql<Usage>`
    with event as (
      insert into usage_event (meter, key, quantity) values (${meter}, ${key}, ${quantity}::bigint)
      on conflict (meter, key) do nothing
      returning meter, quantity, recorded_at
    )
    insert into usage_total (meter, period, quantity)
    select meter, date_trunc('month', recorded_at at time zone 'UTC')::date, quantity from event
    on conflict (meter, period) do update set quantity = usage_total.quantity + excluded.quantity
    returning meter, to_char(period, 'YYYY-MM-DD') as period, quantity::float8 as total`.execute(db)
  const [added] = rows
  if (added !== undefined) return { ...added, added: true }
  const known = await db
    .selectFrom('usage_event')
    .select('quantity')
    .where('meter', '=', meter)
    .where('key', '=', key)
    .executeTakeFirstOrThrow()
  if (Number(known.quantity) !== quantity) {
    throw new ProblemError(422, 'USAGE_KEY_REUSED', 'Another quantity was recorded with this key')
  }
  const now = new Date()
  const total = (await readTotals(db, monthOf(now))).get(meter) ?? 0
  return { meter, period: monthOf(now), total, added: false }
}

/** What was used in a month, by meter. @param period its first day */
export async function readTotals(db: Database, period: string): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('usage_total')
    .select(['meter', sql<number>`quantity::float8`.as('total')])
    .where('period', '=', sql<string>`${period}::date`)
    .execute()
  return new Map(rows.map(({ meter, total }) => [meter, total]))
}
