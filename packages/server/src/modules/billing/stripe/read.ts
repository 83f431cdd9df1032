/** What a subscription at Stripe means here: pure functions. */
import type Stripe from 'stripe'
import type { BillingOptions, Price } from '../options.ts'
import { endedChanges } from '../schedule.ts'
import type { Changes, Subscription } from '../tables.ts'

const statuses: Partial<Record<Stripe.Subscription['status'], Subscription['status']>> = {
  trialing: 'trialing',
  active: 'active',
  past_due: 'past_due',
  // How long somebody may go on without paying is decided here.
  unpaid: 'past_due',
  paused: 'past_due',
}

/** Those that live; the newest one, which counts, first. */
export function livingOf(found: readonly Stripe.Subscription[]): Stripe.Subscription[] {
  return found.filter(({ status }) => statuses[status] !== undefined).sort((a, b) => b.created - a.created)
}

/** What is paid for is nothing that is sold here: no plan follows from it. */
export class PriceUnknown extends Error {}

/** @returns null when there is nothing, and was nothing @throws PriceUnknown */
export function changesFrom(
  known: Subscription,
  found: Stripe.Subscription | null,
  { plans, defaultPlan }: Pick<BillingOptions, 'plans' | 'defaultPlan'>,
): Changes | null {
  if (found === null) {
    if (known.provider_subscription === null) return null
    return { ...endedChanges({ defaultPlan }), provider_subscription: null }
  }
  const status = statuses[found.status] ?? 'past_due'
  const [item] = found.items.data
  const cancelAt = found.cancel_at ?? (found.cancel_at_period_end ? item?.current_period_end : null)
  const bought = item && findPrice(plans, item.price.id)
  if (bought === undefined) {
    throw new PriceUnknown(`${found.id} at Stripe has the price ${item?.price.id}, which no plan has`)
  }
  const owes = status === 'past_due'
  return {
    // Who has owed for too long goes on doing so.
    status: owes && known.status === 'unpaid' ? 'unpaid' : status,
    plan: bought.plan,
    interval: bought.price.interval,
    currency: bought.price.currency,
    ...(found.trial_end !== null && { trial_until: momentOf(found.trial_end) }),
    period_ends_at: momentOf(item?.current_period_end ?? null),
    cancel_at: momentOf(cancelAt ?? null),
    past_due_since: owes ? (known.past_due_since ?? new Date()) : null,
    provider_subscription: found.id,
  }
}

export function findPrice(
  plans: BillingOptions['plans'],
  id: string,
): { plan: string; price: Price } | undefined {
  for (const [plan, { prices }] of Object.entries(plans)) {
    const price = prices.find(({ stripePrice }) => stripePrice === id)
    if (price !== undefined) return { plan, price }
  }
  return undefined
}

const momentOf = (seconds: number | null) => (seconds === null ? null : new Date(seconds * 1000))
