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
    updated_at: ColumnType<Date, never, Date>
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
  verification: { id: string; identifier: string; value: string; expires_at: Date }
  email_change: {
    user_id: string
    email: string
    digest: Buffer
    asked_at: ColumnType<Date, never, Date>
    expires_at: Date
    confirmed_at: Date | null
  }
  operator: { user_id: string; granted_at: ColumnType<Date, never, never> }
  impersonation: ImpersonationTable
  /** What may go on at this moment: not ended, not over, its operator still signed in there, and both still what they were. */
  valid_impersonation: ImpersonationTable
  deletion: { user_id: string; asked_at: ColumnType<Date, Date | undefined, never> }
}

interface ImpersonationTable {
  id: Generated<string>
  operator_id: string
  user_id: string
  tenant_id: string
  /** Of the operator: where it was asked for, then where it was begun. */
  session_id: string | null
  reason: string
  token_digest: Buffer
  credential_digest: Buffer | null
  asked_at: ColumnType<Date, never, never>
  redeemed_at: Date | null
  expires_at: Date
  ended_at: Date | null
  end_code: EndCode | null
  noted_at: Date | null
}

/** Why an impersonation is over: by whoever acted, by somebody else, by time, with its operator's session, or because a right to it was lost. */
export type EndCode = 'STOPPED' | 'ENDED' | 'EXPIRED' | 'SIGNED_OUT' | 'RIGHT_LOST'
