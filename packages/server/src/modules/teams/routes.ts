import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import * as api from '../../api/teams.ts'
import type { ResourceOptions } from '../../http/resource.ts'
import { readMembers } from './queries.ts'

/** Read only: members change in the catalog. */
export const teamsRoutes: FastifyPluginCallbackZod<ResourceOptions> = (app, _options, done) => {
  const schema = { querystring: api.memberList, response: { 200: api.memberPage } }
  app.get('/members', { schema }, async ({ tenant }) => ({ items: await readMembers(tenant.kysely) }))
  done()
}
