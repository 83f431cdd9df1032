import type { Member } from '@quickscale/tenancy'
import type { Kysely } from 'kysely'
import * as api from '../../api/teams.ts'
import { forbidden, type Role, reaches, type Standing } from '../../http/access.ts'
import { requireUser } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import type { Services } from '../module.ts'
import { assertAnotherOwner, whileOwnersStay } from './owners.ts'
import { readMembers } from './queries.ts'
import type { TeamsTables } from './tables.ts'

type Db = Kysely<TeamsTables>

/** The people of a tenant. They change in the catalog, and the tenant's own table follows. */
export function memberRoutes(services: Services, db: Db): readonly Route[] {
  const { tenancy, deliveries } = services
  return [
    tenantRoute({
      method: 'GET',
      path: '/members',
      summary: 'The people of the tenant',
      access: 'viewer',
      query: api.memberList,
      answers: { 200: api.memberPage },
      handle: async ({ db }) => ({ items: await readMembers(db) }),
    }),
    tenantRoute({
      method: 'PATCH',
      path: '/members/:user_id',
      summary: 'Gives a member another role; owners are made and unmade by owners',
      access: 'admin',
      params: api.memberParameters,
      body: api.memberChange,
      answers: { 204: null },
      handle: async ({ here, params: { user_id }, body }) => {
        await changeRole(services, db, here(), user_id, body.role)
      },
    }),
    tenantRoute({
      method: 'DELETE',
      path: '/members/:user_id',
      summary: 'Takes somebody out; what they made stays',
      access: 'admin',
      params: api.memberParameters,
      answers: { 204: null },
      handle: async ({ here, params: { user_id } }) => {
        await takeOut(services, db, here(), user_id)
      },
    }),
    tenantRoute({
      method: 'POST',
      path: '/organization/leave',
      summary: 'The caller leaves the organization',
      access: 'viewer',
      impersonated: false,
      answers: { 204: null },
      handle: async ({ here, caller }) => {
        const { tenantId } = here()
        await takeOut(services, db, { tenantId, role: 'owner' }, requireUser(caller))
      },
    }),
    tenantRoute({
      method: 'POST',
      path: '/organization/transfer',
      summary: 'Makes another member the owner, and the caller an admin',
      access: 'owner',
      body: api.transfer,
      answers: { 204: null },
      handle: async ({ here, caller, body }) => {
        const [tenantId, userId] = [here().tenantId, requireUser(caller)]
        await whileOwnersStay(db, [tenantId], async () => {
          // Under the lock: whoever has left meanwhile is not to come back as the owner.
          const heir = await findActive(services, tenantId, body.user_id)
          const owner = await findActive(services, tenantId, userId)
          // The new owner first: what is interrupted leaves two, never none.
          await tenancy.members.put(tenantId, { ...heir, role: 'owner' })
          if (heir.userId !== owner.userId) await tenancy.members.put(tenantId, { ...owner, role: 'admin' })
        })
        deliveries.request()
      },
    }),
  ]
}

async function changeRole(services: Services, db: Db, standing: Standing, userId: string, role: Role) {
  const { tenancy, deliveries } = services
  await whileOwnersStay(db, [standing.tenantId], async () => {
    const member = await findActive(services, standing.tenantId, userId)
    const owners = member.role === 'owner' || role === 'owner'
    if (owners && !reaches(standing.role, 'owner')) throw forbidden('owner')
    if (member.role === 'owner' && role !== 'owner')
      await assertAnotherOwner(tenancy, standing.tenantId, userId)
    await tenancy.members.put(standing.tenantId, { ...member, role })
  })
  deliveries.request()
}

async function takeOut(services: Services, db: Db, standing: Standing, userId: string) {
  const { tenancy, deliveries } = services
  await whileOwnersStay(db, [standing.tenantId], async () => {
    const member = await findActive(services, standing.tenantId, userId)
    if (member.role === 'owner') {
      if (!reaches(standing.role, 'owner')) throw forbidden('owner')
      await assertAnotherOwner(tenancy, standing.tenantId, userId)
    }
    await tenancy.members.deactivate(standing.tenantId, userId)
  })
  deliveries.request()
}

async function findActive({ tenancy }: Services, tenantId: string, userId: string): Promise<Member> {
  const member = await tenancy.members.find(tenantId, userId)
  if (member?.active) return member
  throw new ProblemError(404, 'NOT_FOUND', 'No such member')
}
