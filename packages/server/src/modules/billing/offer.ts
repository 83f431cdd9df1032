import { ProblemError } from '../../http/problem-error.ts'
import type { BillingOptions, BillingPlan, Price } from './options.ts'

/** @throws ProblemError `PLAN_NOT_OFFERED` */
export function offered({ plans }: Pick<BillingOptions, 'plans'>, name: string): BillingPlan {
  const plan = Object.hasOwn(plans, name) ? plans[name] : undefined
  if (plan !== undefined) return plan
  const known = Object.keys(plans).join(', ')
  throw new ProblemError(422, 'PLAN_NOT_OFFERED', known === '' ? 'No plan is sold' : `Choose one of ${known}`)
}

interface Wanted {
  readonly interval?: Price['interval'] | null | undefined
  readonly currency?: string | null | undefined
}

/**
 * The price of a plan: as it is asked for, or as the organization pays now, or by the month.
 *
 * @throws ProblemError `PRICE_NOT_OFFERED`
 */
export function choosePrice({ prices }: BillingPlan, now: Wanted, wanted: Wanted): Price {
  const interval = wanted.interval ?? now.interval ?? 'month'
  const currency = wanted.currency ?? now.currency ?? null
  const found = prices.find(
    (price) => price.interval === interval && (currency === null || price.currency === currency),
  )
  if (found !== undefined) return found
  const known = prices.map((each) => `${each.currency} by the ${each.interval}`).join(', ')
  const detail = known === '' ? 'This plan costs nothing' : `This plan is sold for ${known}`
  throw new ProblemError(422, 'PRICE_NOT_OFFERED', detail)
}
