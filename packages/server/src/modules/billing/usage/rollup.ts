import { type Kysely, sql } from 'kysely'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { BillingTables, Db } from '../tables.ts'
import { monthOf } from './record.ts'
import { countUsage } from './tree.ts'

// Events are in the tenants' places, sums by hour beside the catalog. An hour is rolled up when it is over, by writing its
// sum anew: so it may be done again, and is, for a day, for what was committed late. What is interrupted is rolled back and due as before.
// Events whose sums are made for good go after a time: only such as no reading to come begins with, whether or not this one is kept.

export const HOUR_MS = 3_600_000
export const hourOf = (moment: Date): Date => new Date(Math.floor(moment.getTime() / HOUR_MS) * HOUR_MS)

type Surroundings = Pick<Services, 'tenancy' | 'log' | 'closing'> & { readonly db: Db }

/** Rolls up what is due; one that fails waits for an hour, and the others do not wait for it. */
export async function rollUp(surroundings: Surroundings): Promise<void> {
  while (!surroundings.closing.aborted) {
    const more = await surroundings.db
      .transaction()
      .execute((transaction) => rollUpOne(surroundings, transaction))
    if (!more) return
  }
}

/** @returns whether something was due */
async function rollUpOne(surroundings: Surroundings, db: Kysely<BillingTables>): Promise<boolean> {
  const { tenancy, log } = surroundings
  const due = await db
    .selectFrom('usage_rollup')
    .selectAll()
    .where('due_at', '<=', sql<Date>`now()`)
    .orderBy('due_at')
    .limit(1)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst()
  if (due === undefined) return false
  const { tenant_id, rolled_through } = due
  const through = hourOf(new Date())
  try {
    const from = new Date(rolled_through.getTime() - limits.usageRereadMs)
    const sums = await readHours(tenancy, tenant_id, from, through)
    if (sums.length > 0)
      await writeHours(
        db,
        sums.map((sum) => ({ tenant_id, ...sum })),
      )
    await countMonths(surroundings, tenant_id, through)
    const oldest = await sweepEvents(tenancy, tenant_id, from)
    await finish(db, tenant_id, { through, oldest })
  } catch (error) {
    log.warn({ tenant: tenant_id, err: error }, 'usage waits for its roll-up')
    await db
      .updateTable('usage_rollup')
      .set({ due_at: new Date(Date.now() + HOUR_MS) })
      .where('tenant_id', '=', tenant_id)
      .execute()
  }
  return true
}

async function readHours(tenancy: Services['tenancy'], tenantId: string, from: Date, to: Date) {
  const { rows } = await sql<{ meter: string; hour: Date; quantity: string }>`
    select meter, date_trunc('hour', recorded_at at time zone 'UTC') at time zone 'UTC' as hour,
           sum(quantity)::bigint as quantity
      from usage_event where recorded_at >= ${from} and recorded_at < ${to}
     group by 1, 2`.execute(tenancy.tenant(tenantId).kysely)
  return rows
}

async function writeHours(
  db: Kysely<BillingTables>,
  sums: readonly { tenant_id: string; meter: string; hour: Date; quantity: string }[],
): Promise<void> {
  await db
    .insertInto('usage_hour')
    .values([...sums])
    .onConflict((conflict) =>
      conflict
        .columns(['tenant_id', 'meter', 'hour'])
        .doUpdateSet({ quantity: sql<string>`excluded.quantity` }),
    )
    .execute()
}

/** Nothing is recorded while the sums are read and counted: what a place has, counts. Others are not held up by a roll-up's transaction. */
async function countMonths({ tenancy, db }: Surroundings, tenantId: string, now: Date): Promise<void> {
  const first = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - limits.usageMonthsKept))
  await tenancy.tenant(tenantId).transaction(async ({ kysely }) => {
    const sums = await kysely
      .selectFrom('usage_total')
      .select([
        'meter',
        sql<string>`to_char(period, 'YYYY-MM-DD')`.as('period'),
        sql<number>`quantity::float8`.as('total'),
      ])
      .where('period', '>=', sql<string>`${monthOf(first)}::date`)
      .forShare()
      .execute()
    for (const sum of sums) await countUsage(db, tenantId, sum)
  })
}

/** @param before what later readings begin with @returns the moment of the oldest event that is left */
async function sweepEvents(
  tenancy: Services['tenancy'],
  tenantId: string,
  before: Date,
): Promise<Date | null> {
  const { kysely } = tenancy.tenant(tenantId)
  const cutoff = new Date(Math.min(before.getTime(), Date.now() - limits.usageKeptMs))
  for (let sweeps = 0; sweeps < limits.usageSweepsMax; sweeps += 1) {
    const { numAffectedRows = 0n } = await sql`delete from usage_event where (meter, key) in (
      select meter, key from usage_event where recorded_at < ${cutoff}
       order by recorded_at limit ${limits.usageSweepMax})`.execute(kysely)
    if (numAffectedRows < limits.usageSweepMax) break
  }
  const { rows } = await sql<{
    oldest: Date | null
  }>`select min(recorded_at) as oldest from usage_event`.execute(kysely)
  return rows[0]?.oldest ?? null
}

/** Marked again since: it is due again when that hour is over; else when its oldest event has been kept for long enough. */
async function finish(
  db: Kysely<BillingTables>,
  tenantId: string,
  { through, oldest }: { readonly through: Date; readonly oldest: Date | null },
): Promise<void> {
  const keptUntil = oldest && new Date(oldest.getTime() + limits.usageKeptMs)
  const sweep = keptUntil && new Date(Math.max(keptUntil.getTime(), Date.now() + HOUR_MS))
  const pause = sql`${HOUR_MS + limits.usageSettleMs} * interval '1 millisecond'`
  await db
    .updateTable('usage_rollup')
    .set({
      rolled_through: through,
      due_at: sql<Date | null>`case when marked_hour >= ${through} then marked_hour + ${pause} else ${sweep}::timestamptz end`,
    })
    .where('tenant_id', '=', tenantId)
    .execute()
}
