import type { Catalog } from '../catalog/catalog.ts'
import { anonymiseMember, deactivateMember, listMembers, type Member, putMember } from '../catalog/members.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'
import { type DeliveryOptions, type DeliveryReport, deliverMembers } from './deliver.ts'

/** Who a member is to be. */
export interface NewMember {
  /** uuid of the user, lower case. */
  readonly userId: string
  /** 1 to 200 characters. */
  readonly name: string
  /** 3 to 254 characters. @defaultValue none */
  readonly email?: string | null
  /** 1 to 64 characters, in the application's words. */
  readonly role: string
}

/**
 * The people of each tenant. The catalog knows them; each tenant's place has a table `member`, which its other tables
 * refer to, and which {@link Members.deliver} keeps up to date.
 */
export interface Members {
  /**
   * Adds a member to a tenant, or changes one. One that was deactivated is active again.
   *
   * @throws QuickScaleError `MEMBER_INVALID`, `MEMBER_ANONYMISED`, `TENANT_NOT_FOUND`, `TENANT_DELETED`
   * @example await tenancy.members.put('acme', { userId, name: 'Ann Lee', email: 'ann@acme.example', role: 'owner' })
   */
  put(key: string, member: NewMember): Promise<Member>
  /**
   * Takes a member out of a tenant; their rows, and what refers to them, stay. Repeatable.
   *
   * @throws QuickScaleError `MEMBER_INVALID`, `MEMBER_NOT_FOUND`, `TENANT_NOT_FOUND`, `TENANT_DELETED`
   */
  deactivate(key: string, userId: string): Promise<Member>
  /**
   * Forgets a person in every tenant, for good: another name, no e-mail address, not active. Rows that refer to them stay.
   * Repeatable; returns in how many tenants it was done now.
   *
   * @throws QuickScaleError `MEMBER_INVALID`, `MEMBER_NOT_FOUND`
   */
  anonymise(userId: string): Promise<number>
  /**
   * One page of a tenant's members in the order of user ids.
   *
   * @param options.after user id of the last one of the page before
   * @param options.limit 1 to 1000, default 100
   * @throws QuickScaleError `TENANT_NOT_FOUND`
   */
  list(key: string, options?: { readonly after?: string; readonly limit?: number }): Promise<Member[]>
  /**
   * Hands changes on to the tenants' places, each with the effect of exactly one delivery, whatever is interrupted. Call it
   * after changes, and now and then: tenants that are not active or could not be reached get theirs later.
   *
   * @throws QuickScaleError `CATALOG_UNREACHABLE`, `LOCK_LOST`; the signal's reason
   * @example
   * const { waiting, failed } = await tenancy.members.deliver()
   * for (const { tenantId, error } of failed) console.error(tenantId, error)
   */
  deliver(options?: DeliveryOptions): Promise<DeliveryReport>
}

export function createMembers(
  catalog: Catalog,
  tenant: (key: string) => Pick<TenantHandle, 'query'>,
): Members {
  return {
    put: async (key, member) => await putMember(catalog.db, key, parseMember(member)),
    deactivate: async (key, userId) => await deactivateMember(catalog.db, key, parseUser(userId)),
    anonymise: async (userId) => await anonymiseMember(catalog.db, parseUser(userId)),
    list: async (key, { after, limit = 100 } = {}) => {
      const most = Math.min(Math.max(1, Math.trunc(limit)), limits.tenantsPerPageMax)
      return await listMembers(catalog.db, key, after === undefined ? null : parseUser(after), most)
    },
    deliver: (options = {}) => deliverMembers(catalog, tenant, options),
  }
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function parseUser(value: unknown): string {
  if (typeof value === 'string' && uuid.test(value)) return value
  throw new QuickScaleError('MEMBER_INVALID', { field: 'user id' })
}

function parseMember({
  userId,
  name,
  email,
  role,
}: NewMember): Required<NewMember> & { email: string | null } {
  return {
    userId: parseUser(userId),
    name: parseText('name', name, 1, limits.memberNameLengthMax),
    email:
      email === undefined || email === null
        ? null
        : parseText('e-mail address', email, limits.memberEmailLengthMin, limits.memberEmailLengthMax),
    role: parseText('role', role, 1, limits.memberRoleLengthMax),
  }
}

function parseText(field: string, value: unknown, min: number, max: number): string {
  const text = typeof value === 'string' ? value.trim() : ''
  if (text.length < min || text.length > max || text.includes('\0'))
    throw new QuickScaleError('MEMBER_INVALID', { field })
  return text
}
