import { z } from 'zod'
import { invoice, invoiceList } from './billing.ts'
import { id, moment, pageOf, text } from './common.ts'

const AMOUNT_MAX = 1_000_000_000_000

/** What an operator records: an invoice that was written elsewhere. */
export const invoiceRecord = z
  .strictObject({
    /** Slug or id. */
    organization: text(63),
    /** What makes a repetition the same. */
    number: text(50),
    /** In minor units of the currency: 2900 usd are $29.00. */
    amount: z.int().min(0).max(AMOUNT_MAX),
    currency: z.string().regex(/^[a-z]{3}$/, 'must be three letters, like usd'),
    period_starts_at: moment,
    period_ends_at: moment,
    issued_at: moment,
    due_at: moment.nullable().optional(),
    /** Of the document. */
    url: z
      .url({ protocol: /^https$/ })
      .max(2_000)
      .nullable()
      .optional(),
  })
  .refine(({ period_starts_at, period_ends_at }) => period_starts_at <= period_ends_at, {
    path: ['period_ends_at'],
    message: 'must not be before period_starts_at',
  })
  .refine(({ issued_at, due_at }) => due_at == null || issued_at <= due_at, {
    path: ['due_at'],
    message: 'must not be before issued_at',
  })
/** The money has come; or it is none, and nothing is owed. */
export const invoiceSettlement = z.strictObject({ status: z.enum(['paid', 'void']) })

/** As the organization sees it, and more. */
export const recordedInvoice = invoice.extend({
  organization_id: id,
  period_starts_at: moment,
  period_ends_at: moment,
  settled_at: moment.nullable(),
})
export const recordedInvoicePage = pageOf(recordedInvoice)
export const recordedInvoiceList = invoiceList.extend({ organization: text(63) })
