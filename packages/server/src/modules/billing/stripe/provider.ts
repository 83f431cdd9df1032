import type Stripe from 'stripe'
import { ProblemError } from '../../../http/problem-error.ts'
import { limits } from '../../../limits.ts'
import type { BillingOptions } from '../options.ts'
import type { Choice, Payer, Provider } from '../provider.ts'
import { endedChanges } from '../schedule.ts'
import { changeSubscription, hint } from '../subscriptions.ts'
import type { Db, Subscription } from '../tables.ts'
import { asking, isMissing } from './client.ts'
import { readInvoices } from './invoices.ts'
import { changesFrom, chooseCurrent } from './read.ts'

// Stripe has the truth. What is asked of it here is written down nowhere but there, and read back by the settlement,
// one at a time for each subscription, as is whatever else has changed it.

interface Surroundings {
  readonly stripe: Stripe
  readonly db: Db
  readonly options: BillingOptions
  /** Of the pages that Stripe's lead back to. */
  readonly appUrl: string
}

/** Stripe refuses to end a trial earlier than this from now. */
const TRIAL_MS_MIN = 48 * 3_600_000 + 60_000

export function createStripeProvider(surroundings: Surroundings): Provider {
  const { stripe, db, options } = surroundings
  return {
    checkout: (subscription, choice, payer) => openCheckout(surroundings, subscription, choice, payer),
    portal: (subscription) => openPortal(surroundings, subscription),
    invoices: async ({ customer }, page) =>
      customer === null ? { items: [], next: null } : await readInvoices(stripe, customer, page),
    async report({ customer, event, value, moment, identifier }) {
      await stripe.billing.meterEvents.create({
        event_name: event,
        payload: { stripe_customer_id: customer, value: String(value) },
        timestamp: Math.floor(moment.getTime() / 1000),
        identifier,
      })
    },
    change: (subscription, choice) => changePrice(surroundings, subscription, choice),
    async cancel(subscription) {
      const { tenant_id, provider_subscription: id } = subscription
      if (id === null) {
        await changeSubscription(db, subscription, endedChanges(options))
        return
      }
      await asking(() => stripe.subscriptions.update(id, { cancel_at_period_end: true }))
      await hint(db, 'tenant_id', tenant_id)
    },
    async end({ provider_subscription: id }) {
      if (id === null) return
      await stripe.subscriptions.cancel(id).catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
    },
    async read(subscription) {
      const { customer } = subscription
      if (customer === null) return null
      const limit = limits.subscriptionsReadMax
      const { data } = await stripe.subscriptions.list({ customer, status: 'all', limit })
      return changesFrom(subscription, chooseCurrent(data), options)
    },
  }
}

async function openCheckout(
  surroundings: Surroundings,
  subscription: Subscription,
  { price }: Choice,
  payer: Payer,
): Promise<string> {
  const { stripe, appUrl } = surroundings
  if (subscription.provider_subscription !== null) {
    throw new ProblemError(409, 'SUBSCRIPTION_EXISTS', 'There is a subscription already; choose another plan')
  }
  const customer = await requireCustomer(surroundings, subscription, payer)
  const { tenant_id, status, trial_until } = subscription
  const isTrying = status === 'trialing' && (trial_until?.getTime() ?? 0) > Date.now() + TRIAL_MS_MIN
  const session = await asking(() =>
    stripe.checkout.sessions.create({
      mode: 'subscription',
      customer,
      client_reference_id: tenant_id,
      line_items: [{ price: stripePriceOf(price), quantity: 1 }],
      subscription_data: {
        metadata: { tenant_id },
        // What is left of the trial stays free.
        ...(isTrying && trial_until && { trial_end: Math.floor(trial_until.getTime() / 1000) }),
      },
      success_url: `${appUrl}/billing?checkout=done`,
      cancel_url: `${appUrl}/billing?checkout=cancelled`,
    }),
  )
  if (session.url === null) throw new Error('Stripe has made a checkout session without a page')
  return session.url
}

async function requireCustomer(
  { stripe, db }: Surroundings,
  subscription: Subscription,
  { name, email }: Payer,
): Promise<string> {
  if (subscription.customer !== null) return subscription.customer
  const { tenant_id, version } = subscription
  const made = await asking(() =>
    stripe.customers.create(
      { name, ...(email !== null && { email }), metadata: { tenant_id } },
      // Asked twice for the same organization, there is one.
      { idempotencyKey: `quickscale-customer-${tenant_id}-${version}-${email ?? ''}` },
    ),
  )
  await changeSubscription(db, subscription, { customer: made.id })
  return made.id
}

async function openPortal(
  { stripe, appUrl }: Surroundings,
  { customer }: Pick<Subscription, 'customer'>,
): Promise<string> {
  if (customer === null) throw new ProblemError(409, 'SUBSCRIPTION_NONE', 'Nothing has been paid for yet')
  const made = await asking(() =>
    stripe.billingPortal.sessions.create({ customer, return_url: `${appUrl}/billing` }),
  )
  return made.url
}

/** Paid for at once: unless the money comes, nothing changes. */
async function changePrice(
  { stripe, db }: Surroundings,
  { tenant_id, provider_subscription: id, version }: Subscription,
  { price }: Choice,
): Promise<void> {
  if (id === null) {
    throw new ProblemError(402, 'CHECKOUT_REQUIRED', 'This plan has to be paid for: begin with a checkout')
  }
  await asking(async () => {
    const current = await stripe.subscriptions.retrieve(id)
    const [item] = current.items.data
    if (item === undefined) throw new Error(`The subscription ${id} at Stripe has no item`)
    await stripe.subscriptions.update(
      id,
      {
        items: [{ id: item.id, price: stripePriceOf(price) }],
        proration_behavior: 'always_invoice',
        payment_behavior: 'error_if_incomplete',
        cancel_at_period_end: false,
      },
      { idempotencyKey: `quickscale-change-${tenant_id}-${version}-${price.stripePrice}` },
    )
  })
  await hint(db, 'tenant_id', tenant_id)
}

function stripePriceOf({ stripePrice }: Choice['price']): string {
  if (stripePrice === undefined) throw new Error('A price that Stripe does not know was offered')
  return stripePrice
}
