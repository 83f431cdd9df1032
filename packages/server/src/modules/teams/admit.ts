import type { Tenancy } from '@quickscale/tenancy'
import { type Caller, isRole, type Role, reaches, type Standing } from '../../http/access.ts'

/**
 * What a caller is in a tenant: what they are there, or, as an admin or owner of a tenant above it, what they are there. A
 * credential that is bound to a tenant is good for that one and those below it; that of an operator who acts as a user for that one only.
 * From memory, as a rule.
 */
export async function admitCaller(
  { members }: Pick<Tenancy, 'members'>,
  key: string,
  caller: Caller,
): Promise<Standing | null> {
  const line = await members.rememberedLineage(key, caller.userId ?? undefined)
  const [own, ...above] = line
  if (own === undefined) return null
  if (caller.tenantId !== null && !line.some(({ tenantId }) => tenantId === caller.tenantId)) return null
  if (caller.impersonator !== undefined && own.tenantId !== caller.tenantId) return null
  const found = { tenantId: own.tenantId, plan: own.plan }
  // A client has the role of its key, wherever that is good: below its own tenant as an admin or owner only.
  if (caller.userId === null) {
    const role = caller.roleMax ?? 'viewer'
    const here = own.tenantId === caller.tenantId
    return here || reaches(role, 'admin') ? { ...found, role } : null
  }
  const held = [roleOf(own.role), ...above.map(({ role }) => roleOf(role)).filter(isAdministrator)]
  const [role] = held.filter((each) => each !== null).sort((a, b) => (reaches(a, b) ? -1 : 1))
  return role === undefined ? null : { ...found, role }
}

/** Members who have a word for their role that is none of ours may read. */
function roleOf(role: string | null): Role | null {
  if (role === null) return null
  return isRole(role) ? role : 'viewer'
}

function isAdministrator(role: Role | null): boolean {
  return role !== null && reaches(role, 'admin')
}
