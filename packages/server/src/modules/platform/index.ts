import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { defineModule } from '../module.ts'
import { auditRoutes } from './audit-routes.ts'
import { jobRoutes } from './job-routes.ts'

/** What every application has in each tenant's place: answers that are kept for their
 * Idempotency-Key, jobs, who did what. */
export const platform = defineModule({
  name: 'platform',
  needs: [],
  migrations: fileURLToPath(new URL('../../../migrations/platform', import.meta.url)),
  controlPlane: fileURLToPath(new URL('../../../sql/platform', import.meta.url)),
  constraints: {},
  options: z.strictObject({}),
  routes: (services) => [...jobRoutes(services), ...auditRoutes(services)],
})
