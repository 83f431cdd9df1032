import type { Tenancy, Tenant } from '@quickscale/tenancy'
import type { FastifyReply } from 'fastify'
import { reaches, type Standing, tenantUnknown } from '../../http/access.ts'
import type { Person } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'

export interface TeamsOptions {
  readonly defaultPlan: string
  readonly plans: readonly string[]
  readonly organizationsMax: number
}

export interface NewOrganization {
  readonly name: string
  readonly slug: string
  readonly plan?: string | undefined
  readonly parent?: string | undefined
}

type Db = Pick<Tenancy, 'tenants' | 'members'>

/** An organization as the API shows it. */
export function describe(tenant: Tenant, role: string) {
  const { id, slug, name, plan, state, parentId: parent_id, createdAt: created_at } = tenant
  return { id, slug, name, plan, state, parent_id, role, created_at }
}

export async function readOrganization({ tenants }: Db, { tenantId, role }: Standing) {
  return describe(await tenants.get(tenantId), role)
}

/** One page of what somebody is a member of. */
export async function listOrganizations({ members }: Db, userId: string, after: string) {
  const limit = limits.organizationsPerPage
  const page = await members.tenantsOf(userId, { after, limit })
  const items = page.map(({ tenant, role }) => describe(tenant, role))
  return { items, next: items.length === limit ? (items.at(-1)?.slug ?? null) : null }
}

/**
 * Makes an organization: recorded with its owner at once; ready at once where only rows are needed, else in a while, which
 * its state shows.
 *
 * @throws ProblemError `PLAN_NOT_OFFERED`, `TOO_MANY_ORGANIZATIONS`
 * @throws QuickScaleError what `tenants.begin` throws
 */
export async function createOrganization(
  services: Services,
  { defaultPlan, plans, organizationsMax }: TeamsOptions,
  owner: Person,
  { name, slug, plan = defaultPlan, parent }: NewOrganization,
  reply: FastifyReply,
) {
  const { tenancy } = services
  if (!plans.includes(plan))
    throw new ProblemError(422, 'PLAN_NOT_OFFERED', `Choose one of ${plans.join(', ')}`)
  const existing = await tenancy.members.tenantsOf(owner.id, { limit: organizationsMax })
  if (existing.length >= organizationsMax) {
    throw new ProblemError(409, 'TOO_MANY_ORGANIZATIONS', `Nobody may be in more than ${organizationsMax}`)
  }
  const { tenant, finished } = await tenancy.tenants.begin({
    slug,
    name,
    plan,
    ...(parent === undefined ? {} : { parent }),
    members: [{ userId: owner.id, name: owner.name, email: owner.email, role: 'owner' }],
  })
  const done = finished.then(async (active) => {
    services.deliveries.request()
    await services.deliveries.settled()
    return active
  })
  services.inBackground(() => done)
  // An interrupted creation of somebody else under the same slug goes on; that makes nobody its owner.
  const [own] = await tenancy.members.lineage(tenant.id, owner.id)
  if (own?.role !== 'owner') throw new ProblemError(409, 'TENANT_EXISTS', `The slug ${slug} is taken`)
  const { strategy } = await tenancy.tenants.placement(tenant.id)
  reply.header('location', `/organizations/${tenant.id}`)
  if (strategy === 'rls') return describe(await done, 'owner')
  reply.status(202)
  return describe(tenant, 'owner')
}

/** @throws ProblemError `TENANT_NOT_FOUND` where the caller is nobody, `ROLE_INSUFFICIENT` where no admin */
export function assertAdmin(key: string, standing: Standing | null): Standing {
  if (standing === null) throw tenantUnknown(key)
  if (reaches(standing.role, 'admin')) return standing
  throw new ProblemError(403, 'ROLE_INSUFFICIENT', 'This takes an admin of the organization')
}
