import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { defineModule } from '../module.ts'
import { teamsRoutes } from './routes.ts'

export { memberName, memberNameContains } from './queries.ts'
export type { MemberId } from './tables.ts'

/** The people of a tenant, for other tables to refer to. */
export const teams = defineModule({
  name: 'teams',
  migrations: fileURLToPath(new URL('../../../migrations/teams', import.meta.url)),
  constraints: {},
  options: z.strictObject({}),
  routes: teamsRoutes,
})
