import { sql } from 'kysely'
import Stripe from 'stripe'
import * as api from '../../../api/billing.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { applicationRoute, type Route } from '../../../http/route.ts'
import { limits } from '../../../limits.ts'
import { hint } from '../subscriptions.ts'
import type { Db } from '../tables.ts'

// An event is a hint and nothing more: that something of a customer has changed. What, is read from Stripe afterwards. So it
// does not matter how often events come, in which order, or how late; and nothing that is in them is believed.

interface Surroundings {
  readonly db: Db
  readonly webhookSecret: string
  /** Something may be due. */
  request(): void
}

/** Where Stripe says that something has changed. */
export function webhookRoute({ db, webhookSecret, request }: Surroundings): Route {
  return applicationRoute({
    method: 'POST',
    path: '/billing/webhooks/stripe',
    summary: 'Events of Stripe, signed',
    access: 'anyone',
    // They come in bursts, from few addresses; what is not signed costs one hash.
    rate: 'free',
    rawBody: true,
    answers: { 200: api.webhookReceipt },
    handle: async ({ request: { body, headers } }) => {
      const event = verifyEvent(body, headers['stripe-signature'], webhookSecret)
      if (await hear(db, event)) request()
      return { received: true }
    },
  })
}

/** @param receivedAt milliseconds @throws ProblemError `SIGNATURE_INVALID` for what Stripe has not signed, or not now */
export function verifyEvent(
  body: unknown,
  header: string | string[] | undefined,
  secret: string,
  receivedAt: number = Date.now(),
): Stripe.Event {
  const refused = () => new ProblemError(400, 'SIGNATURE_INVALID', 'Not signed by Stripe, or too long ago')
  if (!Buffer.isBuffer(body) || typeof header !== 'string') throw refused()
  try {
    return Stripe.webhooks.constructEvent(
      body,
      header,
      secret,
      limits.signatureSeconds,
      undefined,
      receivedAt,
    )
  } catch (error) {
    if (error instanceof Stripe.errors.StripeSignatureVerificationError) throw refused()
    throw error
  }
}

/** @returns whether it was new, and about somebody we know */
async function hear(db: Db, { id, type, created, data }: Stripe.Event): Promise<boolean> {
  const customer = customerOf(data.object)
  return await db.transaction().execute(async (transaction) => {
    const known = await sql`
      with expired as (
        select id from billing.event
         where received_at < now() - ${limits.eventKeptMs} * interval '1 millisecond'
         limit ${limits.eventSweepMax} for update skip locked
      ), swept as (delete from billing.event using expired where billing.event.id = expired.id)
      insert into billing.event (id, type, created_at)
      values (${id}, ${type}, to_timestamp(${created}::double precision))
      on conflict (id) do nothing`.execute(transaction)
    if (known.numAffectedRows !== 1n || customer === null) return false
    await hint(transaction, 'customer', customer)
    return true
  })
}

/** Whose affair the object of an event is. */
function customerOf(object: object): string | null {
  const { object: kind, id, customer } = object as { object?: unknown; id?: unknown; customer?: unknown }
  const found = kind === 'customer' ? id : (Object(customer).id ?? customer)
  return typeof found === 'string' ? found : null
}
