import * as api from '../../api/billing.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route, tenantRoute } from '../../http/route.ts'
import type { Billing } from './billing.ts'
import { askProvider, beginChoice } from './choice.ts'
import { choosePrice } from './offer.ts'
import type { BillingPlan } from './options.ts'
import { startTrial } from './provider.ts'
import { describe, findSubscription } from './subscriptions.ts'
import type { Subscription } from './tables.ts'

/** What an organization has, and how it gets something else. */
export function subscriptionRoutes(billing: Billing): readonly Route[] {
  return [priceList(billing), ...readingRoutes(billing), ...choosingRoutes(billing)]
}

function priceList({ options }: Billing): Route {
  const items = Object.entries(options.plans).map(([name, { title = name, trialDays, prices, quotas }]) => ({
    name,
    title,
    trial_days: trialDays,
    prices: prices.map(({ amount, currency, interval }) => ({ amount, currency, interval })),
    quotas: Object.fromEntries(
      Object.entries(quotas).map(([quota, { soft = null, hard = null }]) => [quota, { soft, hard }]),
    ),
  }))
  return applicationRoute({
    method: 'GET',
    path: '/billing/plans',
    summary: 'The plans that are sold',
    access: 'anyone',
    answers: { 200: api.billingPlans },
    handle: async () => ({ items }),
  })
}

function readingRoutes({ services: { tenancy }, db }: Billing): readonly Route[] {
  return [
    tenantRoute({
      method: 'GET',
      path: '/billing/subscription',
      summary: 'What the organization has chosen and paid for',
      access: 'admin',
      answers: { 200: api.subscription },
      handle: async ({ here }) => {
        const tenant = await tenancy.tenants.get(here().tenantId)
        return describe(tenant, await findSubscription(db, tenant.id))
      },
    }),
  ]
}

function choosingRoutes(billing: Billing): readonly Route[] {
  const { db, provider } = billing
  return [
    tenantRoute({
      method: 'POST',
      path: '/billing/trial',
      summary: 'Tries a plan, once',
      access: 'owner',
      besideTenant: true,
      rate: 'costly',
      body: api.trialStart,
      answers: { 200: api.subscription, 202: api.subscription },
      status: 200,
      handle: async ({ here, body, reply }) => {
        const { tenantId } = here()
        const { plan, current } = await beginChoice(billing, tenantId, body.plan, assertUntried)
        await startTrial(db, current, body.plan, plan.trialDays)
        return await follow(billing, tenantId, reply)
      },
    }),
    tenantRoute({
      method: 'POST',
      path: '/billing/plan',
      summary: 'Chooses another plan; one that costs nothing begins when what has been paid for is over',
      access: 'owner',
      besideTenant: true,
      rate: 'costly',
      body: api.planChange,
      answers: { 200: api.subscription, 202: api.subscription },
      status: 200,
      handle: async ({ here, body, reply }) => {
        const { tenantId } = here()
        const { plan, current } = await beginChoice(billing, tenantId, body.plan)
        if (plan.prices.length === 0) {
          await askProvider(billing, () => provider.cancel(current))
          return await follow(billing, tenantId, reply)
        }
        const choice = { plan: body.plan, price: choosePrice(plan, current, body) }
        await askProvider(billing, () => provider.change(current, choice))
        return await follow(billing, tenantId, reply, body.plan)
      },
    }),
    tenantRoute({
      method: 'POST',
      path: '/billing/cancellation',
      summary: 'Ends the subscription with what has been paid for',
      access: 'owner',
      besideTenant: true,
      answers: { 200: api.subscription, 202: api.subscription },
      status: 200,
      handle: async ({ here, reply }) => {
        const { tenantId } = here()
        const current = await findSubscription(db, tenantId)
        if (current === null || current.status === 'none' || current.status === 'canceled') {
          throw new ProblemError(409, 'SUBSCRIPTION_NONE', 'There is no subscription to end')
        }
        await askProvider(billing, () => provider.cancel(current))
        return await follow(billing, tenantId, reply)
      },
    }),
  ]
}

/**
 * Waits only where nothing has to be moved.
 *
 * @param chosen the plan that the provider has agreed to, which may not have been read from it yet
 */
async function follow(
  { services: { tenancy }, db, settler }: Billing,
  tenantId: string,
  reply: { status(code: number): unknown },
  chosen?: string,
) {
  const wanted = chosen ?? (await findSubscription(db, tenantId))?.plan
  const { strategy } = await tenancy.tenants.placement(tenantId)
  const stays = wanted !== undefined && tenancy.plans[wanted]?.strategy === strategy
  if (stays) await settler.settle(tenantId)
  else settler.request()
  const subscription = await findSubscription(db, tenantId)
  const answer = describe(
    await tenancy.tenants.get(tenantId),
    subscription && { ...subscription, ...(chosen !== undefined && { plan: chosen }) },
  )
  if (answer.change !== null) reply.status(202)
  return answer
}

/** @throws ProblemError `TRIAL_REFUSED` */
function assertUntried({ status, trial_until }: Subscription, plan: BillingPlan): void {
  const refused = (reason: string) => new ProblemError(409, 'TRIAL_REFUSED', reason)
  if (plan.trialDays === 0) throw refused('This plan is not for trial')
  if (trial_until !== null) throw refused('An organization may try one plan, once')
  if (status !== 'none' && status !== 'canceled') throw refused('There is a subscription already')
}
