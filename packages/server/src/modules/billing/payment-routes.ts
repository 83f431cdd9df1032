import * as api from '../../api/billing.ts'
import type { Caller } from '../../http/access.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import type { Services } from '../module.ts'
import type { Billing } from './billing.ts'
import { askProvider, beginChoice } from './choice.ts'
import { choosePrice } from './offer.ts'
import { requireSubscription } from './subscriptions.ts'

/** Pages of whoever takes the money. */
export function paymentRoutes(billing: Billing): readonly Route[] {
  const { services, db, provider } = billing
  return [
    tenantRoute({
      method: 'GET',
      path: '/billing/invoices',
      summary: 'Invoices of the organization, the newest ones first',
      access: 'admin',
      query: api.invoiceList,
      answers: { 200: api.invoicePage },
      handle: async ({ here, query }) => await provider.invoices(here().tenantId, query),
    }),
    tenantRoute({
      method: 'POST',
      path: '/billing/checkout',
      summary: 'A page where a plan is paid for',
      access: 'owner',
      besideTenant: true,
      rate: 'costly',
      body: api.planChange,
      answers: { 200: api.paymentPage },
      handle: async ({ here, caller, body }) => {
        const { plan, tenant, current } = await beginChoice(billing, here().tenantId, body.plan)
        const price = choosePrice(plan, current, body)
        const payer = { name: tenant.name, email: await emailOf(services, caller) }
        const choice = { plan: body.plan, price }
        return { url: await askProvider(billing, () => provider.checkout(current, choice, payer)) }
      },
    }),
    tenantRoute({
      method: 'POST',
      path: '/billing/portal',
      summary: 'A page with cards, invoices and the way out',
      access: 'owner',
      besideTenant: true,
      rate: 'costly',
      answers: { 200: api.paymentPage },
      handle: async ({ here }) => {
        const tenant = await services.tenancy.tenants.get(here().tenantId)
        return { url: await provider.portal(await requireSubscription(db, tenant)) }
      },
    }),
  ]
}

async function emailOf({ gate }: Services, caller: Caller | null): Promise<string | null> {
  if (caller?.userId == null) return null
  return (await gate.find(caller.userId))?.email ?? null
}
