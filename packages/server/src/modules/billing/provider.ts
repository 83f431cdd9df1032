import type { z } from 'zod'
import type { InvoiceRequest, invoicePage } from '../../api/billing.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { describeInvoice, listInvoices } from './invoices.ts'
import type { Price } from './options.ts'
import { findOverdue } from './overdue.ts'
import { addInterval, changesByInvoices, DAY_MS, endedChanges } from './schedule.ts'
import { changeSubscription } from './subscriptions.ts'
import type { Changes, Db, Subscription } from './tables.ts'

/** A plan, and what it costs as it was chosen. */
export interface Choice {
  readonly plan: string
  readonly price: Price
}

/** Whoever is to pay. */
export interface Payer {
  /** Of the organization. */
  readonly name: string
  readonly email: string | null
}

export type InvoicePage = z.output<typeof invoicePage>

/** How much was used in an hour. */
export interface ReportedUsage {
  readonly customer: string
  /** Name of the meter there. */
  readonly event: string
  readonly value: bigint
  readonly moment: Date
  readonly identifier: string
}

/** Whoever takes the money. */
export interface Provider {
  /** URL of a page where the choice is paid for, and begins. @throws ProblemError `CHECKOUT_UNAVAILABLE`, `SUBSCRIPTION_EXISTS` */
  checkout(subscription: Subscription, choice: Choice, payer: Payer): Promise<string>
  /** URL of a page with cards, invoices and the way out. @throws ProblemError `CHECKOUT_UNAVAILABLE`, `SUBSCRIPTION_NONE` */
  portal(subscription: Subscription): Promise<string>
  /** Of an organization, whether or not it has chosen anything; the newest ones first. */
  invoices(tenantId: string, page: InvoiceRequest): Promise<InvoicePage>
  /** Is told of usage; told again under the same identifier, it counts it once. */
  report(usage: ReportedUsage): Promise<void>
  /** Gives an organization another plan that costs something. @throws ProblemError when that takes something else first */
  change(subscription: Subscription, choice: Choice): Promise<void>
  /** Ends it with what has been paid for. */
  cancel(subscription: Subscription): Promise<void>
  /** Ends it at once: the organization is gone. */
  end(subscription: Pick<Subscription, 'customer'>): Promise<void>
  /** What it knows of a subscription; null when that is nothing. */
  read(subscription: Subscription): Promise<Changes | null>
}

/** Nobody asks for money here: whoever runs the application writes the invoices, and operators record them. */
export function createManualProvider(db: Db, { defaultPlan }: { readonly defaultPlan: string }): Provider {
  const nowhere = async () => {
    throw new ProblemError(409, 'CHECKOUT_UNAVAILABLE', 'Nothing is paid for online here; choose a plan')
  }
  return {
    checkout: nowhere,
    portal: nowhere,
    async invoices(tenantId, page) {
      const { rows, next } = await listInvoices(db, tenantId, page)
      return { items: rows.map(describeInvoice), next }
    },
    async change(subscription, { plan, price }) {
      const { interval, currency } = price
      const { period_ends_at, tenant_id } = subscription
      // To choose is not to pay.
      const past_due_since = await findOverdue(db, tenant_id)
      const goesOn = subscription.interval === interval && period_ends_at !== null
      await changeSubscription(
        db,
        subscription,
        {
          status: past_due_since === null ? 'active' : 'past_due',
          plan,
          interval,
          currency,
          cancel_at: null,
          past_due_since,
          period_ends_at: goesOn ? period_ends_at : addInterval(new Date(), interval),
        },
        { chooses: true },
      )
    },
    async cancel(subscription) {
      const { status, period_ends_at } = subscription
      const paid = status === 'active' && period_ends_at !== null
      await changeSubscription(
        db,
        subscription,
        paid ? { cancel_at: period_ends_at } : endedChanges({ defaultPlan }),
        { chooses: true },
      )
    },
    end: async () => undefined,
    report: async () => undefined,
    read: async (subscription) =>
      changesByInvoices(subscription, await findOverdue(db, subscription.tenant_id)),
  }
}

/** Begins a trial; who pays for it later is not known yet. */
export async function startTrial(
  db: Db,
  subscription: Subscription,
  plan: string,
  days: number,
): Promise<Subscription> {
  const trial_until = new Date(Date.now() + days * DAY_MS)
  return await changeSubscription(
    db,
    subscription,
    { status: 'trialing', plan, trial_until },
    { chooses: true },
  )
}
