import type Stripe from 'stripe'
import { ProblemError } from '../../../http/problem-error.ts'
import type { Services } from '../../module.ts'
import type { BillingOptions } from '../options.ts'
import type { Choice, Payer, Provider } from '../provider.ts'
import { endedChanges } from '../schedule.ts'
import { changeSubscription, findSubscription, hint } from '../subscriptions.ts'
import type { Db, Subscription } from '../tables.ts'
import { asking, isMissing } from './client.ts'
import { readInvoices } from './invoices.ts'
import { endLiving, expireSessions, isCustomer, listLiving } from './living.ts'
import { changesFrom, findPrice } from './read.ts'

// Stripe has the truth. What is asked of it here is written down nowhere but there, and read back by the settlement,
// one at a time for each subscription, as is whatever else has changed it.

interface Surroundings {
  readonly stripe: Stripe
  readonly db: Db
  readonly options: BillingOptions
  readonly log: Services['log']
  /** Of the pages that Stripe's lead back to. */
  readonly appUrl: string
}

/** Stripe refuses to end a trial earlier than this from now. */
const TRIAL_MS_MIN = 48 * 3_600_000 + 60_000

export function createStripeProvider(surroundings: Surroundings): Provider {
  const { stripe, db, options, log } = surroundings
  return {
    checkout: (subscription, choice, payer) => openCheckout(surroundings, subscription, choice, payer),
    portal: (subscription) => openPortal(surroundings, subscription),
    async invoices(tenantId, page) {
      const customer = (await findSubscription(db, tenantId))?.customer ?? null
      return customer === null ? { items: [], next: null } : await readInvoices(stripe, customer, page)
    },
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
      await askingOf(surroundings, tenant_id, () =>
        stripe.subscriptions.update(id, { cancel_at_period_end: true }),
      )
      await hint(db, 'tenant_id', tenant_id)
    },
    async end({ customer }) {
      if (customer === null) return
      // First what could still be paid for.
      await expireSessions(stripe, customer)
      await endLiving(stripe, await listLiving(stripe, customer))
    },
    async read(subscription) {
      const { customer, tenant_id } = subscription
      if (customer === null) return null
      const [current = null, ...older] = await listLiving(stripe, customer)
      // Of two checkouts that were paid; what others have sold to the customer is no affair of ours.
      const surplus = older.filter(({ metadata }) => metadata.tenant_id === tenant_id)
      for (const { id } of surplus)
        log.warn({ tenant: tenant_id, subscription: id }, 'a second subscription is ended at Stripe')
      await endLiving(stripe, surplus)
      return changesFrom(subscription, current, options)
    },
  }
}

async function openCheckout(
  surroundings: Surroundings,
  subscription: Subscription,
  { plan, price }: Choice,
  payer: Payer,
): Promise<string> {
  const { stripe, db, appUrl } = surroundings
  if (subscription.provider_subscription !== null) {
    throw subscriptionExists()
  }
  const customer = await requireCustomer(surroundings, subscription, payer)
  const { tenant_id, status, trial_until } = subscription
  await askingOf(surroundings, tenant_id, () => expireSessions(stripe, customer))
  const living = await asking(() => listLiving(stripe, customer))
  if (living.length > 0) {
    await hint(db, 'tenant_id', tenant_id)
    throw subscriptionExists()
  }
  const isTrying =
    status === 'trialing' &&
    plan === subscription.plan &&
    (trial_until?.getTime() ?? 0) > Date.now() + TRIAL_MS_MIN
  const session = await askingOf(surroundings, tenant_id, () =>
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

const subscriptionExists = () =>
  new ProblemError(409, 'SUBSCRIPTION_EXISTS', 'There is a subscription already; choose another plan')

const subscriptionNone = () => new ProblemError(409, 'SUBSCRIPTION_NONE', 'Nothing has been paid for yet')

async function requireCustomer(
  { stripe, db }: Surroundings,
  subscription: Subscription,
  { name, email }: Payer,
): Promise<string> {
  const { tenant_id, customer } = subscription
  if (customer !== null && (await asking(() => isCustomer(stripe, customer)))) return customer
  const after = customer === null ? '' : `-${customer}`
  const id = await asking(async () => {
    const made = await stripe.customers.create(
      { metadata: { tenant_id } },
      // Asked twice for the same organization, there is one, and another one once that was deleted: the key and what goes with it are always the same.
      { idempotencyKey: `quickscale-customer-${tenant_id}${after}` },
    )
    await stripe.customers.update(made.id, { name, ...(email !== null && { email }) })
    return made.id
  })
  await changeSubscription(db, subscription, { customer: id })
  return id
}

async function openPortal(
  { stripe, appUrl }: Surroundings,
  { customer }: Pick<Subscription, 'customer'>,
): Promise<string> {
  if (customer === null) throw subscriptionNone()
  try {
    const asked = { customer, return_url: `${appUrl}/billing` }
    return (await asking(() => stripe.billingPortal.sessions.create(asked))).url
  } catch (error) {
    if (isMissing(error)) throw subscriptionNone()
    throw error
  }
}

/** Paid for at once: unless the money comes, nothing changes. */
async function changePrice(
  surroundings: Surroundings,
  { tenant_id, provider_subscription: id }: Subscription,
  { plan, price }: Choice,
): Promise<void> {
  if (id === null) {
    throw new ProblemError(402, 'CHECKOUT_REQUIRED', 'This plan has to be paid for: begin with a checkout')
  }
  const { stripe, db, options } = surroundings
  await askingOf(surroundings, tenant_id, async () => {
    const current = await stripe.subscriptions.retrieve(id)
    const [item] = current.items.data
    if (item === undefined) throw new Error(`The subscription ${id} at Stripe has no item`)
    const tried = findPrice(options.plans, item.price.id)?.plan
    // No key of ours: what was refused, or chosen before, is asked for anew. The client has one for its own repetitions.
    await stripe.subscriptions.update(id, {
      items: [{ id: item.id, price: stripePriceOf(price) }],
      proration_behavior: 'always_invoice',
      payment_behavior: 'error_if_incomplete',
      cancel_at_period_end: false,
      // Free is the plan that is tried, and no other.
      ...(current.status === 'trialing' && plan !== tried && { trial_end: 'now' as const }),
    })
  })
  await hint(db, 'tenant_id', tenant_id, { chooses: true })
}

/**
 * Asks about a subscription; one that has changed there meanwhile is read.
 *
 * @throws ProblemError `CONFLICT` when what it is about is not there any more
 */
async function askingOf<T>({ db }: Surroundings, tenantId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await asking(work)
  } catch (error) {
    if (!isMissing(error)) throw error
    await hint(db, 'tenant_id', tenantId)
    throw new ProblemError(
      409,
      'CONFLICT',
      'The subscription has changed at Stripe at the same moment; try again',
    )
  }
}

function stripePriceOf({ stripePrice }: Choice['price']): string {
  if (stripePrice === undefined) throw new Error('A price that Stripe does not know was offered')
  return stripePrice
}
