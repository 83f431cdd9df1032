import type { ErrorCode } from './errors.ts'

/** How a tenant is kept apart: rows in shared tables, a schema of its own, a database of its own. */
export type Strategy = 'rls' | 'schema' | 'database'

/** Where a tenant stands in its life, as the catalog records it. */
export type TenantState = 'provisioning' | 'active' | 'suspended' | 'archived' | 'deleting' | 'deleted'

/** Why a tenant in a state is not entered. */
export const refusalOf = {
  provisioning: 'TENANT_PROVISIONING',
  suspended: 'TENANT_SUSPENDED',
  archived: 'TENANT_ARCHIVED',
  deleting: 'TENANT_DELETED',
  deleted: 'TENANT_DELETED',
} as const satisfies Record<Exclude<TenantState, 'active'>, ErrorCode>

/** A customer. */
export interface Tenant {
  /** uuid; the value of `tenant_id` in every row of the tenant. */
  readonly id: string
  /** Unique, readable, changeable: a-z, 0-9 and inner hyphens. */
  readonly slug: string
  readonly name: string
  /** The plan decides the strategy. */
  readonly plan: string
  readonly state: TenantState
  /** False while the tenant's place has yet to follow its state; repeating what was interrupted settles it. */
  readonly settled: boolean
  /** The tenant this one is a sub-account of, if any. */
  readonly parentId: string | null
  /** The region that the tenant's data must stay in, if any. */
  readonly region: string | null
  readonly createdAt: Date
}

/** Where a tenant's tables are. */
export interface Placement {
  readonly tenantId: string
  readonly strategy: Strategy
  /** uuid of the database in the catalog. */
  readonly databaseId: string
  readonly databaseName: string
  /** Schema of the tables: `app`, or `tenant_<uuid>` under the schema strategy. */
  readonly schemaName: string
  /** Grows by one with every move; a token for an older epoch is refused. */
  readonly epoch: number
}

/** On whose behalf a statement runs; sealed into the context, readable in SQL as quickscale.actor_id() and actor_role(). */
export interface Actor {
  readonly id: string
  readonly role: string
}
