import { QuickScaleError } from '@quickscale/tenancy'
import { z } from 'zod'
import { text } from '../../api/index.ts'
import type { Services } from '../module.ts'

const AMOUNT_MAX = 100_000_000
const name = text(63).regex(/^[a-z][a-z0-9_]*$/, 'must be a-z, 0-9 and _, a letter first')

const quota = z
  .strictObject({
    /** From here on owners are warned. */
    soft: z.int().min(0).optional(),
    /** No more than this. */
    hard: z.int().min(0).optional(),
  })
  .refine(({ soft = 0, hard = Infinity }) => soft <= hard, 'must not warn beyond what is allowed')

const price = z.strictObject({
  /** In minor units of the currency: 2900 are $29.00. */
  amount: z.int().min(1).max(AMOUNT_MAX),
  currency: z.string().regex(/^[a-z]{3}$/, 'must be three letters, like usd'),
  interval: z.enum(['month', 'year']),
  /** Id of the same price at Stripe: `price_…`. */
  stripePrice: text(255).optional(),
})

const stripe = z.strictObject({
  /** `sk_…` or, better, `rk_…`: a key that may do no more than this takes. */
  secretKey: z.string().min(8).max(255),
  /** `whsec_…`, of the endpoint `/billing/webhooks/stripe`. */
  webhookSecret: z.string().min(8).max(255),
  /** Another address than Stripe's. */
  apiUrl: z.url({ protocol: /^https?$/ }).optional(),
})

const plan = z.strictObject({
  /** What people call it. @defaultValue its name */
  title: text(100).optional(),
  /** None for a plan that costs nothing. */
  prices: z
    .array(price)
    .max(20)
    .refine(
      (prices) => new Set(prices.map((each) => each.currency + each.interval)).size === prices.length,
      'must not name an interval of a currency twice',
    )
    .default([]),
  /** How long it may be tried, once; 0 for not at all. */
  trialDays: z.int().min(0).max(365).default(0),
  /** What its tenants may have and use, by name. */
  quotas: z.record(name, quota).default({}),
})

export const billingOptions = z.strictObject({
  /** Takes the money; without it nobody does. */
  stripe: stripe.optional(),
  /** What is sold, by the names of the tenancy's plans; the cheapest first. */
  plans: z.record(text(63), plan).default({}),
  /** What is counted as it is used, by name. */
  meters: z
    .record(
      name,
      z.strictObject({
        /** Name of the events of the same meter at Stripe. @defaultValue Stripe is not told */
        stripeEvent: text(100).optional(),
      }),
    )
    .default({}),
  /** Which of them organizations fall back to, which costs nothing. */
  defaultPlan: text(63).default('free'),
  /** What becomes of a trial that ends without payment: the default plan, or nobody gets in. */
  afterTrial: z.enum(['fallback', 'suspend']).default('fallback'),
  /** How long who has not paid may go on. */
  graceDays: z.int().min(0).max(90).default(14),
  /** For how long an operator may take a move back that a change of plan has made. */
  rollbackMinutes: z.int().min(0).max(10_080).default(60),
})

export type BillingOptions = z.output<typeof billingOptions>
export type BillingPlan = BillingOptions['plans'][string]
export type Price = BillingPlan['prices'][number]

/** @throws QuickScaleError `CONFIG_INVALID` naming a plan or a quota that there is not */
export function assertOptions({ tenancy, gauges }: Services, options: BillingOptions): void {
  const { plans, meters, defaultPlan } = options
  const known = [...gauges.keys(), ...Object.keys(meters)].join(', ')
  if (Object.keys(plans).length === 0) return
  const problems = Object.entries(plans).flatMap(([plan, { quotas }]) => [
    ...(Object.hasOwn(tenancy.plans, plan) ? [] : [`plans.${plan} is no plan of the tenancy`]),
    ...Object.keys(quotas)
      .filter((quota) => !gauges.has(quota) && !Object.hasOwn(meters, quota))
      .map((quota) => `plans.${plan}.quotas.${quota} is none of ${known}`),
  ])
  const twice = Object.keys(meters).filter((meter) => gauges.has(meter))
  problems.push(...twice.map((meter) => `meters.${meter} is counted already`))
  const fallback = plans[defaultPlan]
  if (fallback === undefined) problems.push(`defaultPlan ${defaultPlan} is not among the plans`)
  else if (fallback.prices.length > 0) problems.push(`defaultPlan ${defaultPlan} must cost nothing`)
  for (const [plan, { prices }] of Object.entries(plans)) {
    if (plan !== defaultPlan && prices.length === 0) problems.push(`plans.${plan} needs a price`)
    if (options.stripe !== undefined && prices.some(({ stripePrice }) => stripePrice === undefined))
      problems.push(`plans.${plan} needs a stripePrice for each price`)
  }
  const ids = Object.values(plans).flatMap(({ prices }) =>
    prices.flatMap(({ stripePrice = [] }) => stripePrice),
  )
  if (new Set(ids).size < ids.length) problems.push('plans must not name a stripePrice twice')
  if (problems.length === 0) return
  const problem = problems.map((each) => `modules.billing.${each}`).join('; ')
  throw new QuickScaleError('CONFIG_INVALID', { problem })
}
