import type { Catalog } from '../catalog/catalog.ts'
import {
  anonymiseMember,
  deactivateMember,
  findMemberOf,
  type Kin,
  listLineage,
  listMembers,
  listTenantsOf,
  type Member,
  type NewMember,
  parseMember,
  parseUser,
  putMember,
} from '../catalog/members.ts'
import { limits } from '../limits.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'
import type { Tenant } from '../tenant.ts'
import { type DeliveryOptions, type DeliveryReport, deliverMembers } from './deliver.ts'
import type { LineageMemory } from './lineage-memory.ts'

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
   * One person in a tenant, or null; those who are deactivated or forgotten too.
   *
   * @throws QuickScaleError `MEMBER_INVALID`, `TENANT_NOT_FOUND`
   */
  find(key: string, userId: string): Promise<Member | null>
  /**
   * One page of a tenant's members in the order of user ids.
   *
   * @param options.after user id of the last one of the page before
   * @param options.limit 1 to 1000, default 100
   * @throws QuickScaleError `TENANT_NOT_FOUND`
   */
  list(key: string, options?: { readonly after?: string; readonly limit?: number }): Promise<Member[]>
  /**
   * The tenant and those above it, the nearest first, each with what the user is there: what decides who may do what, in
   * one query. Empty when there is no such tenant.
   *
   * @throws QuickScaleError `TENANT_KEY_INVALID`, `MEMBER_INVALID`
   * @example
   * const [own, ...above] = await tenancy.members.lineage('acme-berlin', userId)
   * const allowed = own?.role != null || above.some(({ role }) => role === 'owner')
   */
  lineage(key: string, userId?: string): Promise<Kin[]>
  /**
   * The same, usually from memory: for every request. A change of it counts at once in the process that made it, and in others
   * when the catalog's announcement arrives, moments later. A process that cannot hear the catalog believes nothing for longer
   * than ten seconds.
   *
   * @throws QuickScaleError `TENANT_KEY_INVALID`, `MEMBER_INVALID`, `CATALOG_UNREACHABLE`
   * @example const [own] = await tenancy.members.rememberedLineage('acme', userId)
   */
  rememberedLineage(key: string, userId?: string): Promise<readonly Kin[]>
  /**
   * One page of the tenants that a user is an active member of, in the order of slugs.
   *
   * @param options.after slug of the last one of the page before
   * @param options.limit 1 to 1000, default 100
   * @throws QuickScaleError `MEMBER_INVALID`
   */
  tenantsOf(
    userId: string,
    options?: { readonly after?: string; readonly limit?: number },
  ): Promise<{ readonly tenant: Tenant; readonly role: string }[]>
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
  memory: LineageMemory,
): Members {
  // Also when it fails: it may have been committed all the same.
  const changing = <T>(userId: string, change: Promise<T>) => change.finally(() => memory.forget(userId))
  return {
    put: async (key, member) => {
      const parsed = parseMember(member)
      return await changing(parsed.userId, putMember(catalog.db, key, parsed))
    },
    deactivate: async (key, userId) =>
      await changing(userId, deactivateMember(catalog.db, key, parseUser(userId))),
    anonymise: async (userId) => await changing(userId, anonymiseMember(catalog.db, parseUser(userId))),
    find: async (key, userId) => await findMemberOf(catalog.db, key, parseUser(userId)),
    list: async (key, { after, limit = 100 } = {}) => {
      const most = Math.min(Math.max(1, Math.trunc(limit)), limits.tenantsPerPageMax)
      return await listMembers(catalog.db, key, after === undefined ? null : parseUser(after), most)
    },
    lineage: async (key, userId) =>
      await listLineage(catalog.db, key, userId === undefined ? null : parseUser(userId)),
    rememberedLineage: async (key, userId) =>
      await memory.read(key, userId === undefined ? null : parseUser(userId)),
    tenantsOf: async (userId, { after = '', limit = 100 } = {}) => {
      const most = Math.min(Math.max(1, Math.trunc(limit)), limits.tenantsPerPageMax)
      return await listTenantsOf(catalog.db, parseUser(userId), after, most)
    },
    deliver: (options = {}) => deliverMembers(catalog, tenant, options),
  }
}
