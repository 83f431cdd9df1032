import type { Services } from '../module.ts'
import type { BillingOptions } from './options.ts'
import type { Provider } from './provider.ts'
import type { Settler } from './settler.ts'
import type { Db } from './tables.ts'

/** What the routes of the module work with. */
export interface Billing {
  readonly services: Services
  readonly db: Db
  readonly options: BillingOptions
  readonly provider: Provider
  readonly settler: Settler
}
