/** What time does to a subscription: pure functions of it and of the moment. */
import type { BillingOptions } from './options.ts'
import type { Changes, Subscription } from './tables.ts'

export const DAY_MS = 86_400_000

export type Rules = Pick<BillingOptions, 'afterTrial' | 'graceDays' | 'defaultPlan'>

/** What a subscription becomes when it has ended. */
export const endedChanges = ({ defaultPlan }: Pick<Rules, 'defaultPlan'>) =>
  ({
    status: 'canceled',
    plan: defaultPlan,
    interval: null,
    currency: null,
    period_ends_at: null,
    cancel_at: null,
    past_due_since: null,
  }) as const satisfies Changes

/** What has to be changed at a moment; null for nothing. Of what a provider keeps it says when it ends. */
export function changesAt(subscription: Subscription, now: Date, rules: Rules): Changes | null {
  const { status, provider_subscription, cancel_at, period_ends_at, interval } = subscription
  const isOver = (moment: Date | null) => moment !== null && moment <= now
  const kept = provider_subscription !== null
  if (status === 'trialing' && !kept && isOver(subscription.trial_until)) {
    return rules.afterTrial === 'suspend' ? { status: 'unpaid' } : endedChanges(rules)
  }
  if (status === 'past_due' && isOver(graceEnd(subscription, rules))) return { status: 'unpaid' }
  if (kept || status === 'none' || status === 'canceled') return null
  if (isOver(cancel_at)) return endedChanges(rules)
  if (status === 'active' && interval !== null && period_ends_at !== null && period_ends_at <= now)
    return { period_ends_at: addInterval(period_ends_at, interval) }
  return null
}

/** When {@link changesAt} has to be asked next; null for never. */
export function nextChange(subscription: Subscription, rules: Rules): Date | null {
  const { status, provider_subscription, trial_until, cancel_at, period_ends_at } = subscription
  const moments = [
    status === 'trialing' && provider_subscription === null ? trial_until : null,
    status === 'past_due' ? graceEnd(subscription, rules) : null,
    ...(provider_subscription === null && status !== 'canceled' ? [cancel_at] : []),
    ...(provider_subscription === null && status === 'active' ? [period_ends_at] : []),
  ]
  return earliest(moments)
}

export function earliest(moments: readonly (Date | null)[]): Date | null {
  const times = moments.flatMap((moment) => moment?.getTime() ?? [])
  return times.length === 0 ? null : new Date(Math.min(...times))
}

/** The same day of the next month or year, or its last one. */
export function addInterval(moment: Date, interval: 'month' | 'year'): Date {
  const months = moment.getUTCMonth() + (interval === 'year' ? 12 : 1)
  const next = new Date(moment)
  next.setUTCMonth(months)
  if (next.getUTCMonth() !== months % 12) next.setUTCDate(0)
  return next
}

/**
 * What invoices say of a subscription that nobody else keeps: not paid since the oldest of them was due; paid, when nothing is.
 *
 * @param overdueSince null when nothing is
 * @returns null for nothing that has to be changed
 */
export function changesByInvoices(subscription: Subscription, overdueSince: Date | null): Changes | null {
  const { status, past_due_since, provider_subscription } = subscription
  const owes = past_due_since !== null && (status === 'past_due' || status === 'unpaid')
  if (provider_subscription !== null || (status !== 'active' && !owes)) return null
  if (overdueSince?.getTime() === past_due_since?.getTime()) return null
  return { status: overdueSince === null ? 'active' : 'past_due', past_due_since: overdueSince }
}

function graceEnd({ past_due_since }: Subscription, { graceDays }: Rules): Date | null {
  return past_due_since && new Date(past_due_since.getTime() + graceDays * DAY_MS)
}
