import { fileURLToPath } from 'node:url'
import { limits } from '../../limits.ts'
import { defineModule } from '../module.ts'
import { createRounds } from '../rounds.ts'
import { assertQuota } from './fit.ts'
import { invoiceRoutes } from './invoice-routes.ts'
import { assertOptions, billingOptions } from './options.ts'
import { noticeOverdue } from './overdue.ts'
import { paymentRoutes } from './payment-routes.ts'
import { createManualProvider } from './provider.ts'
import { endPurged } from './purged.ts'
import { subscriptionRoutes } from './routes.ts'
import { Settler } from './settler.ts'
import { openStripe } from './stripe/client.ts'
import { createStripeProvider } from './stripe/provider.ts'
import { webhookRoute } from './stripe/webhook.ts'
import type { BillingTables } from './tables.ts'
import { createMarker } from './usage/mark.ts'
import { reportUsage } from './usage/report.ts'
import { rollUp } from './usage/rollup.ts'
import { usageRoutes } from './usage/routes.ts'
import { createWarner } from './usage/warn.ts'

/** Plans, what organizations have chosen of them, and that their tenants follow. */
export const billing = defineModule({
  name: 'billing',
  needs: ['teams'],
  migrations: fileURLToPath(new URL('../../../migrations/billing', import.meta.url)),
  controlPlane: fileURLToPath(new URL('../../../sql/billing', import.meta.url)),
  constraints: {},
  options: billingOptions,
  routes(services, options) {
    assertOptions(services, options)
    for (const [plan, { quotas }] of Object.entries(options.plans)) services.quotas.define(plan, quotas)
    const db = services.tenancy.controlPlane.kysely<BillingTables>('billing')
    const { stripe } = options
    const provider =
      stripe === undefined
        ? createManualProvider(db, options)
        : createStripeProvider({
            ...services,
            stripe: openStripe(stripe),
            db,
            options,
            appUrl: services.appUrl,
          })
    const settler = new Settler({ ...services, db, options, provider })
    const billing = { services, db, options, provider, settler }
    services.beforeAdding.push((tenantId, gauge) => assertQuota(services, options, tenantId, gauge))
    const rollUpUsage = async () => {
      await rollUp({ ...services, db })
      await reportUsage({ ...billing, log: services.log })
    }
    createRounds(services, limits.usageIntervalMs, rollUpUsage)
    createRounds(services, limits.settlementIntervalMs, () => endPurged({ ...services, db, provider }))
    if (stripe === undefined)
      createRounds(services, limits.settlementIntervalMs, async () => {
        if (await noticeOverdue(db)) settler.request()
      })
    return [
      ...subscriptionRoutes(billing),
      ...paymentRoutes(billing),
      ...usageRoutes({ ...billing, mark: createMarker(db, services), warn: createWarner(services, db) }),
      ...(stripe
        ? [webhookRoute({ db, ...stripe, request: () => settler.request() })]
        : invoiceRoutes(billing)),
    ]
  },
})
