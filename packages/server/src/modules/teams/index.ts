import { fileURLToPath } from 'node:url'
import type { Module } from '../module.ts'
import { teamsRoutes } from './routes.ts'

export { memberName, memberNameContains } from './queries.ts'
export type { MemberId } from './tables.ts'

/** The people of a tenant, for other tables to refer to. */
export const teams: Module = {
  name: 'teams',
  migrations: fileURLToPath(new URL('../../../migrations/teams', import.meta.url)),
  constraints: {},
  routes: teamsRoutes,
}
