import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { text } from '../../api/index.ts'
import { defineModule } from '../module.ts'
import { assertRoom } from '../room.ts'
import { admitCaller } from './admit.ts'
import { domainRoutes } from './domain-routes.ts'
import { createHostDirectory, listDomains } from './domains.ts'
import { invitationRoutes } from './invitation-routes.ts'
import { forgetInvited, signUpInvited } from './invitations.ts'
import { memberRoutes } from './member-routes.ts'
import { organizationRoutes } from './organization-routes.ts'
import { countMembers, giveOwnershipUp } from './owners.ts'
import type { TeamsTables } from './tables.ts'

export { memberName, memberNameContains } from './queries.ts'
export type { MemberId } from './tables.ts'

const ORGANIZATIONS_MAX = 1_000

/** Organizations, which are the tenants, and the people in them. */
export const teams = defineModule({
  name: 'teams',
  migrations: fileURLToPath(new URL('../../../migrations/teams', import.meta.url)),
  controlPlane: fileURLToPath(new URL('../../../sql/teams', import.meta.url)),
  constraints: {},
  options: z.strictObject({
    /** Of organizations that ask for none. */
    defaultPlan: text(63).default('free'),
    /** Plans that anybody may choose for a new organization. */
    plans: z.array(text(63)).min(1).default(['free']),
    /** Addresses of DNS servers that prove host names; the system's when there are none. */
    dnsServers: z.array(text(60)).max(10).default([]),
    /** How many organizations somebody may be in, and still make another one. */
    organizationsMax: z.int().min(1).max(ORGANIZATIONS_MAX).default(20),
  }),
  routes(services, options) {
    const { tenancy, gate, invitedSignUps, beforeDeletion, onDeletion, gauges } = services
    const db = tenancy.controlPlane.kysely<TeamsTables>('teams')
    const hosts = createHostDirectory(db)
    gate.findHostBy(hosts.find)
    gate.admitBy((key, caller) => admitCaller(tenancy, key, caller))
    invitedSignUps.push((invited, signUp) => signUpInvited(db, invited, signUp))
    beforeDeletion.push((userId) => giveOwnershipUp(tenancy, db, userId))
    onDeletion.push(({ email }) => forgetInvited(db, email))
    gauges.set('members', (tenantId) => countMembers(tenancy, tenantId))
    gauges.set('domains', async (tenantId) => (await listDomains(db, tenantId)).length)
    return [
      ...organizationRoutes(services, options, db),
      ...memberRoutes(services, db),
      ...invitationRoutes(services, db),
      ...domainRoutes({
        db,
        dnsServers: options.dnsServers,
        forget: hosts.forget,
        beforeAdding: (tenantId) => assertRoom(services, tenantId, 'domains'),
      }),
    ]
  },
})
