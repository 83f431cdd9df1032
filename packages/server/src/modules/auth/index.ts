import { fileURLToPath } from 'node:url'
import { limits } from '../../limits.ts'
import { defineModule } from '../module.ts'
import { createRounds } from '../rounds.ts'
import { resumeDeletions } from './account.ts'
import { accountRoutes } from './account-routes.ts'
import { listKeys } from './api-keys.ts'
import { openBetterAuth } from './better-auth.ts'
import { credentialRoutes } from './credential-routes.ts'
import { resumeAddresses } from './email-change.ts'
import { emailRoutes } from './email-routes.ts'
import { createIdentification } from './identify.ts'
import { sweepImpersonations } from './impersonation/ending.ts'
import { impersonationRoutes } from './impersonation/routes.ts'
import { authOptions } from './options.ts'
import { passwordRoutes } from './password-routes.ts'
import { providerRoutes } from './provider-routes.ts'
import { createRelay } from './relay.ts'
import { signInRoutes } from './sign-in-routes.ts'
import type { AuthTables } from './tables.ts'

export { createKey, findKey, KEY_PREFIX } from './api-keys.ts'
export {
  grantOperator,
  listOperators,
  type Operator,
  requireOperator,
  revokeOperator,
} from './impersonation/operators.ts'
export type { AuthTables } from './tables.ts'

/** Users: who they are, and how they prove it. */
export const auth = defineModule({
  name: 'auth',
  constraints: {},
  options: authOptions,
  controlPlane: fileURLToPath(new URL('../../../sql/auth', import.meta.url)),
  routes(services, options) {
    const { tenancy, baseUrl, gate, gauges } = services
    const db = tenancy.controlPlane.kysely<AuthTables>('auth')
    const betterAuth = openBetterAuth({ services, options })
    const identification = createIdentification(betterAuth, db, services.origins)
    gate.identifyBy(identification)
    const changing = { ...services, db, appName: options.appName }
    createRounds(services, limits.accountsResumedMs, async () => {
      await resumeDeletions(services, db)
      await resumeAddresses(changing)
    })
    createRounds(services, limits.impersonationSweepMs, () => sweepImpersonations({ ...services, db }))
    gauges.set('api_clients', async (tenantId) => (await listKeys(db, { tenantId })).length)
    const relay = createRelay(betterAuth, baseUrl, () => identification.clear())
    return [
      ...signInRoutes(services, options, relay),
      ...passwordRoutes(relay),
      ...emailRoutes(changing, relay, identification),
      ...providerRoutes(services, options, relay),
      ...accountRoutes(services, db, relay, identification),
      ...credentialRoutes(services, { auth: betterAuth, db, cache: identification }),
      ...impersonationRoutes(services, db),
    ]
  },
})
