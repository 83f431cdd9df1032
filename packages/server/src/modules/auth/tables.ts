import type { ColumnType, Generated } from 'kysely'
import type { Role } from '../../http/access.ts'

/** The tables of sql/auth that are not better-auth's alone. */
export interface AuthTables {
  user: {
    id: Generated<string>
    name: string
    email: string
    email_verified: boolean
    image: Generated<string | null>
    two_factor_enabled: Generated<boolean>
    created_at: ColumnType<Date, never, never>
  }
  session: {
    id: string
    user_id: string
    token: string
    ip_address: string | null
    user_agent: string | null
    created_at: Date
    expires_at: Date
  }
  api_key: {
    id: Generated<string>
    digest: Buffer
    start: string
    name: string
    user_id: string | null
    tenant_id: string | null
    role: Role | null
    created_at: ColumnType<Date, never, never>
    expires_at: Date | null
  }
  deletion: { user_id: string; asked_at: ColumnType<Date, never, never> }
}
