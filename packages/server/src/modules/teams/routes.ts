import * as api from '../../api/teams.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { readMembers } from './queries.ts'

/** Read only: members change in the catalog. */
export const teamsRoutes = (): readonly Route[] => [
  tenantRoute({
    method: 'GET',
    path: '/members',
    summary: 'The people of the tenant',
    access: 'viewer',
    query: api.memberList,
    answers: { 200: api.memberPage },
    handle: async ({ db }) => ({ items: await readMembers(db) }),
  }),
]
