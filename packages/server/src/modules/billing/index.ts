import { fileURLToPath } from 'node:url'
import { defineModule } from '../module.ts'
import { assertOptions, billingOptions } from './options.ts'
import { createManualProvider } from './provider.ts'
import { subscriptionRoutes } from './routes.ts'
import { Settler } from './settler.ts'
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
    const provider = createManualProvider(db, options)
    const settler = new Settler({ ...services, db, options, provider })
    return subscriptionRoutes({ services, db, options, provider, settler })
  },
})
