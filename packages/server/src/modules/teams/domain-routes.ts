import type { Kysely } from 'kysely'
import * as api from '../../api/teams.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { claimDomain, createResolver, dropDomain, listDomains, verifyDomain } from './domains.ts'
import type { TeamsTables } from './tables.ts'

interface Surroundings {
  readonly db: Kysely<TeamsTables>
  readonly dnsServers: readonly string[]
  /** Refuses a new one where there is no room. */
  beforeAdding(tenantId: string): Promise<void>
  /** Forgets what is remembered of a host name. */
  forget(host: string): void
}

/** Host names of an organization. */
export function domainRoutes({ db, dnsServers, forget, beforeAdding }: Surroundings): readonly Route[] {
  const resolver = createResolver(dnsServers)
  return [
    tenantRoute({
      method: 'GET',
      path: '/domains',
      summary: 'Host names of the organization, and the TXT records that prove them',
      access: 'admin',
      answers: { 200: api.domainPage },
      handle: async ({ here }) => ({ items: await listDomains(db, here().tenantId) }),
    }),
    tenantRoute({
      method: 'POST',
      path: '/domains',
      summary: 'Claims a host name, which counts once it is verified',
      access: 'admin',
      body: api.domainCreate,
      answers: { 201: api.domain },
      handle: ({ here, body }) => claimDomain(db, here().tenantId, body.host, beforeAdding),
    }),
    tenantRoute({
      method: 'POST',
      path: '/domains/:host/verification',
      summary: 'Looks for the TXT record of a host name',
      access: 'admin',
      rate: 'costly',
      params: api.domainParameters,
      answers: { 200: api.domain },
      handle: async ({ here, params: { host } }) => {
        const verified = await verifyDomain(db, resolver, here().tenantId, host)
        forget(host)
        return verified
      },
    }),
    tenantRoute({
      method: 'DELETE',
      path: '/domains/:host',
      summary: 'Gives a host name up',
      access: 'admin',
      params: api.domainParameters,
      answers: { 204: null },
      handle: async ({ here, params: { host } }) => {
        if (!(await dropDomain(db, here().tenantId, host))) {
          throw new ProblemError(404, 'NOT_FOUND', 'No such host name')
        }
        forget(host)
      },
    }),
  ]
}
