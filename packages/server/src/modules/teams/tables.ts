import type { ColumnType } from 'kysely'

/** Refers to a member; null only in rows that are older than members. */
export type MemberId = ColumnType<string | null, string, string>

/** Written by `tenancy.members.deliver()`; read by everybody. */
interface MemberTable {
  user_id: string
  name: string
  email: string | null
  role: string
  active: boolean
  /** bigint, as text. */
  version: string
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    member: MemberTable
  }
}
