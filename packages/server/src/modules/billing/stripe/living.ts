/** What a customer pays for at Stripe, or could begin to. */
import Stripe from 'stripe'
import { limits } from '../../../limits.ts'
import { isMissing } from './client.ts'
import { livingOf } from './read.ts'

/** The newest one first; none of a customer who was deleted there. */
export async function listLiving(stripe: Stripe, customer: string): Promise<Stripe.Subscription[]> {
  const limit = limits.subscriptionsReadMax
  try {
    const { data } = await stripe.subscriptions.list({ customer, status: 'all', limit })
    return livingOf(data)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Whether a customer can still pay: one that was deleted there never can. */
export async function isCustomer(stripe: Stripe, customer: string): Promise<boolean> {
  try {
    return (await stripe.customers.retrieve(customer)).deleted !== true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Ends them now; what was paid for and not had is credited. */
export async function endLiving(stripe: Stripe, living: readonly Stripe.Subscription[]): Promise<void> {
  for (const { id } of living) {
    await stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true }).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
  }
}

/** Nobody can pay on the pages that were opened before. */
export async function expireSessions(stripe: Stripe, customer: string): Promise<void> {
  const limit = limits.subscriptionsReadMax
  const { data } = await stripe.checkout.sessions.list({ customer, status: 'open', limit })
  for (const { id } of data) {
    await stripe.checkout.sessions.expire(id).catch(async (error: unknown) => {
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error
      // Paid for, or over, at the same moment.
      const { status } = await stripe.checkout.sessions.retrieve(id)
      if (status === 'open') throw error
    })
  }
}
