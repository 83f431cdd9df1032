import { z } from 'zod'
import { day, id, moment, pageOf, text } from './common.ts'

const interval = z.enum(['month', 'year'])
const quota = z.object({
  /** From here on owners are warned. */
  soft: z.int().nullable(),
  /** No more than this. */
  hard: z.int().nullable(),
})

/** What a plan costs for an interval: minor units of the currency, 2900 usd are $29.00. */
const price = z.object({ amount: z.int(), currency: z.string(), interval })

/** The plans that are sold, the cheapest first. */
export const billingPlans = z.object({
  items: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      trial_days: z.int(),
      prices: z.array(price),
      quotas: z.record(z.string(), quota),
    }),
  ),
})

/** What an organization has chosen and paid for. */
export const subscription = z.object({
  status: z.enum(['none', 'trialing', 'active', 'past_due', 'unpaid', 'canceled']),
  plan: z.string(),
  interval: interval.nullable(),
  currency: z.string().nullable(),
  trial_until: moment.nullable(),
  period_ends_at: moment.nullable(),
  cancel_at: moment.nullable(),
  past_due_since: moment.nullable(),
  suspended: z.boolean(),
  /** The organization is on its way to `plan`; null when it has arrived. */
  change: z
    .object({
      from: z.string(),
      to: z.string(),
      /** A change that is blocked is tried again. */
      state: z.enum(['pending', 'blocked']),
      reason: z.string().nullable(),
    })
    .nullable(),
})

export const trialStart = z.strictObject({ plan: text(63) })
export const planChange = z.strictObject({
  plan: text(63),
  interval: interval.optional(),
  currency: z
    .string()
    .regex(/^[a-z]{3}$/, 'must be three letters, like usd')
    .optional(),
})

/** A page elsewhere, good for a while. */
export const paymentPage = z.object({ url: z.string() })
export const webhookReceipt = z.object({ received: z.boolean() })

/** Amounts in minor units of the currency. */
export const invoice = z.object({
  id: z.string(),
  number: z.string().nullable(),
  status: z.string(),
  currency: z.string(),
  amount_due: z.int(),
  amount_paid: z.int(),
  created_at: moment,
  due_at: moment.nullable(),
  /** Pages to pay and to print it. */
  url: z.string().nullable(),
  pdf_url: z.string().nullable(),
})
export const invoicePage = pageOf(invoice)
export const invoiceList = z.strictObject({
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'must be a whole number from 1 to 100')
    .default('20')
    .transform(Number),
  /** The `next` of the page before. */
  after: z.string().max(255).regex(/^\w+$/, 'must be the next of a page').optional(),
})
export type InvoiceRequest = z.output<typeof invoiceList>

const QUANTITY_MAX = 1_000_000_000_000

export const usageRecord = z.strictObject({
  meter: text(63),
  quantity: z.int().min(1).max(QUANTITY_MAX),
  /** What makes a repetition the same. */
  key: text(255),
})
const allowed = { used: z.number(), soft: z.number().nullable(), hard: z.number().nullable() }
/** `used` this month, `warning` from `soft` on. */
export const usageRecorded = z.object({ meter: z.string(), ...allowed, warning: z.boolean() })
export const usage = z.object({
  period_starts_at: moment,
  period_ends_at: moment,
  items: z.array(
    z.object({
      name: z.string(),
      /** Used up and full again with the next month, or there at this moment. */
      kind: z.enum(['meter', 'count']),
      ...allowed,
      /** Of a meter, with all organizations below: for admins of one that has such, else null. The quota is for all of them. */
      tree: z.number().nullable(),
      warning: z.boolean(),
    }),
  ),
})

/** By meter. */
const usedByMeter = z.record(z.string(), z.number())
export const usageOrganizationsQuery = z.strictObject({
  /** In UTC. */
  month: z
    .string()
    .regex(/^20\d\d-(0[1-9]|1[0-2])$/, 'must be a month, like 2030-01')
    .optional(),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'must be a whole number from 1 to 100')
    .default('20')
    .transform(Number),
  /** The `next` of the page before. */
  after: text(63).optional(),
})
/** The organizations directly below, in the order of slugs, each with what it used together with those below it. */
export const usageOrganizations = z.object({
  month: z.string(),
  own: usedByMeter,
  /** With all below, those included that were deleted since. */
  total: usedByMeter,
  items: z.array(z.object({ id, slug: z.string(), name: z.string(), state: z.string(), used: usedByMeter })),
  next: z.string().nullable(),
})
export const usageHoursQuery = z.strictObject({ meter: text(63), day })
/** Hours that are over and in which something was used. */
export const usageHours = z.object({ items: z.array(z.object({ hour: moment, quantity: z.number() })) })
