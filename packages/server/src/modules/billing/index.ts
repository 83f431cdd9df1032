import { fileURLToPath } from 'node:url'
import { defineModule } from '../module.ts'
import { assertOptions, billingOptions } from './options.ts'
import { paymentRoutes } from './payment-routes.ts'
import { createManualProvider } from './provider.ts'
import { subscriptionRoutes } from './routes.ts'
import { Settler } from './settler.ts'
import { openStripe } from './stripe/client.ts'
import { createStripeProvider } from './stripe/provider.ts'
import { webhookRoute } from './stripe/webhook.ts'
import type { BillingTables } from './tables.ts'

/** Plans, what organizations have chosen of them, and that their tenants follow. */
export const billing = defineModule({
  name: 'billing',
  needs: ['teams'],
  controlPlane: fileURLToPath(new URL('../../../sql/billing', import.meta.url)),
  constraints: {},
  options: billingOptions,
  routes(services, options) {
    assertOptions(services, options)
    const db = services.tenancy.controlPlane.kysely<BillingTables>('billing')
    const { stripe } = options
    const provider =
      stripe === undefined
        ? createManualProvider(db, options)
        : createStripeProvider({ stripe: openStripe(stripe), db, options, appUrl: services.appUrl })
    const settler = new Settler({ ...services, db, options, provider })
    const billing = { services, db, options, provider, settler }
    return [
      ...subscriptionRoutes(billing),
      ...paymentRoutes(billing),
      ...(stripe ? [webhookRoute({ db, ...stripe, request: () => settler.request() })] : []),
    ]
  },
})
