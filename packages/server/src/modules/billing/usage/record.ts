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

/** The month of a moment, in UTC. */
export const monthOf = (moment: Date): string => `${moment.toISOString().slice(0, 7)}-01`

/**
 * Writes down what was used, once for each key, and adds it to the month's total. The row of the total is held until the
 * transaction ends: what is refused afterwards was never added, and nobody gets in between.
 *
 * @returns the month's total
 * @throws ProblemError `USAGE_KEY_REUSED` for another quantity under the same key
 */
export async function recordUsage(db: Database, { meter, quantity, key }: UsageEvent): Promise<number> {
  const { rows } = await sql<{ total: number }>`
    with event as (
      insert into usage_event (meter, key, quantity) values (${meter}, ${key}, ${quantity}::bigint)
      on conflict (meter, key) do nothing
      returning meter, quantity, recorded_at
    )
    insert into usage_total (meter, period, quantity)
    select meter, date_trunc('month', recorded_at at time zone 'UTC')::date, quantity from event
    on conflict (meter, period) do update set quantity = usage_total.quantity + excluded.quantity
    returning quantity::float8 as total`.execute(db)
  const [added] = rows
  if (added !== undefined) return added.total
  const known = await db
    .selectFrom('usage_event')
    .select('quantity')
    .where('meter', '=', meter)
    .where('key', '=', key)
    .executeTakeFirstOrThrow()
  if (Number(known.quantity) !== quantity) {
    throw new ProblemError(422, 'USAGE_KEY_REUSED', 'Another quantity was recorded with this key')
  }
  return (await readTotals(db, new Date())).get(meter) ?? 0
}

/** What was used in a month, by meter. */
export async function readTotals(db: Database, moment: Date): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('usage_total')
    .select(['meter', sql<number>`quantity::float8`.as('total')])
    .where('period', '=', sql<string>`${monthOf(moment)}::date`)
    .execute()
  return new Map(rows.map(({ meter, total }) => [meter, total]))
}
