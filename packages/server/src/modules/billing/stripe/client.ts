import Stripe from 'stripe'
import { ProblemError } from '../../../http/problem-error.ts'
import { limits } from '../../../limits.ts'
import type { BillingOptions } from '../options.ts'

export type StripeOptions = NonNullable<BillingOptions['stripe']>

/** Stripe's own client, bounded in time. */
export function openStripe({ secretKey, apiUrl }: StripeOptions): Stripe {
  const url = apiUrl === undefined ? null : new URL(apiUrl)
  return new Stripe(secretKey, {
    timeout: limits.providerMs,
    maxNetworkRetries: limits.providerRetries,
    telemetry: false,
    ...(url && {
      host: url.hostname,
      port: url.port,
      protocol: url.protocol === 'http:' ? ('http' as const) : ('https' as const),
    }),
  })
}

/**
 * Asks Stripe on behalf of a caller.
 *
 * @throws ProblemError `PAYMENT_FAILED` with what the bank says, `PROVIDER_UNAVAILABLE`; what is our own mistake as it is
 */
export async function asking<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Stripe.errors.StripeCardError) {
      throw new ProblemError(402, 'PAYMENT_FAILED', error.message)
    }
    const isBusy =
      error instanceof Stripe.errors.StripeConnectionError ||
      error instanceof Stripe.errors.StripeAPIError ||
      error instanceof Stripe.errors.StripeRateLimitError
    if (isBusy) throw new ProblemError(503, 'PROVIDER_UNAVAILABLE', 'Payment is not available; try again')
    throw error
  }
}

/** Whether there is no such object at Stripe any more; a price that was never there is a mistake of ours. */
export function isMissing(error: unknown): boolean {
  return (
    error instanceof Stripe.errors.StripeInvalidRequestError &&
    error.code === 'resource_missing' &&
    !error.param?.includes('price')
  )
}
