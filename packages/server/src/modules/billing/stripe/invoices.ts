import type Stripe from 'stripe'
import type { InvoiceRequest } from '../../../api/billing.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import type { InvoicePage } from '../provider.ts'
import { asking, isMissing } from './client.ts'

/** Invoices as Stripe has them; drafts are its own affair. */
export async function readInvoices(
  stripe: Stripe,
  customer: string,
  { limit, after }: InvoiceRequest,
): Promise<InvoicePage> {
  const page = { customer, limit, ...(after !== undefined && { starting_after: after }) }
  const { data, has_more } = await asking(() => stripe.invoices.list(page)).catch((error: unknown) => {
    throw isMissing(error) ? new ProblemError(404, 'NOT_FOUND', 'No such page of invoices') : error
  })
  const items = data.filter(({ status }) => status !== 'draft').map(describe)
  return { items, next: has_more ? (data.at(-1)?.id ?? null) : null }
}

function describe(invoice: Stripe.Invoice): InvoicePage['items'][number] {
  const { id, number, status, currency, amount_due, amount_paid, created, due_date } = invoice
  return {
    id,
    number,
    status: status ?? 'open',
    currency,
    amount_due,
    amount_paid,
    created_at: new Date(created * 1000),
    due_at: due_date === null ? null : new Date(due_date * 1000),
    url: invoice.hosted_invoice_url ?? null,
    pdf_url: invoice.invoice_pdf ?? null,
  }
}
