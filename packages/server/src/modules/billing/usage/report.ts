import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { BillingOptions } from '../options.ts'
import type { Provider } from '../provider.ts'
import type { Db } from '../tables.ts'

interface Surroundings extends Pick<Services, 'log'> {
  readonly db: Db
  readonly options: Pick<BillingOptions, 'meters'>
  readonly provider: Pick<Provider, 'report'>
}

/**
 * Tells the provider of usage it has not been told of: what has been added to an hour, under a name that is never used twice.
 * What fails is told in the next round.
 */
export async function reportUsage({ db, options, provider, log }: Surroundings): Promise<void> {
  const events = new Map(
    Object.entries(options.meters).flatMap(([meter, { stripeEvent }]) =>
      stripeEvent === undefined ? [] : [[meter, stripeEvent] as const],
    ),
  )
  if (events.size === 0) return
  let failures = 0
  for (const due of await readUnreported(db, [...events.keys()])) {
    const { tenant_id, meter, hour, quantity, reported, customer } = due
    const event = events.get(meter)
    if (event === undefined || customer === null) continue
    const value = BigInt(quantity) - BigInt(reported)
    const identifier = `${tenant_id}:${meter}:${hour.toISOString()}:${quantity}`
    try {
      await provider.report({ customer, event, value, moment: hour, identifier })
    } catch (error) {
      log.warn({ tenant: tenant_id, err: error }, 'usage could not be reported')
      failures += 1
      if (failures >= limits.usageReportFailuresMax) return
      continue
    }
    await db
      .updateTable('usage_hour')
      .set({ reported: quantity })
      .where('tenant_id', '=', tenant_id)
      .where('meter', '=', meter)
      .where('hour', '=', hour)
      .execute()
  }
}

function readUnreported(db: Db, meters: readonly string[]) {
  return db
    .selectFrom('usage_hour')
    .innerJoin('subscription', 'subscription.tenant_id', 'usage_hour.tenant_id')
    .select(['usage_hour.tenant_id', 'meter', 'hour', 'quantity', 'reported', 'customer'])
    .where('meter', 'in', meters)
    .whereRef('reported', '<', 'quantity')
    .where('customer', 'is not', null)
    .orderBy('hour')
    .limit(limits.usageReportsMax)
    .execute()
}
