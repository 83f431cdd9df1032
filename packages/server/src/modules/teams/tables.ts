import type { ColumnType, Generated } from 'kysely'
import type { Role } from '../../http/access.ts'

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

/** The tables of sql/teams. */
export interface TeamsTables {
  domain: {
    tenant_id: string
    host: string
    token: string
    created_at: ColumnType<Date, never, never>
    verified_at: ColumnType<Date | null, never, Date | null>
  }
  invitation: {
    id: Generated<string>
    tenant_id: string
    email: string
    role: Role
    digest: Buffer
    invited_by: string | null
    created_at: ColumnType<Date, never, never>
    expires_at: Date
    signed_up_at: ColumnType<Date | null, null | undefined, Date | null>
  }
}
