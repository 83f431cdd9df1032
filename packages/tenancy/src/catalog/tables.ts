import type { ColumnType, Generated } from 'kysely'
import type { MoveProgress, MoveRequest, MoveState } from '../move.ts'
import type { Strategy, TenantState } from '../tenant.ts'
import type { Envelope } from './credentials.ts'

/** A timestamp the database fills in. */
type CreatedAt = ColumnType<Date, never, never>

/** What a login beside the application's own is for. */
export type LoginPurpose = 'reader' | 'unscoped'

/** How far one generation of token keys is; see sql/catalog. */
export type TokenKeyState = 'adding' | 'sealing' | 'retiring' | 'retired'

/** The catalog's tables as Kysely sees them; sql/catalog is the source. */
export interface CatalogTables {
  plan: { id: string; strategy: Strategy }
  server: {
    id: Generated<string>
    name: string
    host: string
    port: number
    /** Of a configured server; see sql/catalog. */
    system: Generated<string | null>
    /** Of a brought database; see sql/catalog. */
    identity: Generated<string | null>
    credential: ColumnType<Envelope | null, string | undefined, string>
    revision: Generated<number>
    /** Since when it takes no tenants; see sql/catalog. */
    draining_since: ColumnType<Date | null, never, Date | null>
    created_at: CreatedAt
  }
  database: {
    id: Generated<string>
    server_id: string
    name: string
    kind: 'shared' | 'silo' | 'template' | 'warm'
    login_role: string
    credential: ColumnType<Envelope | null, string | null, string | null>
    ready: Generated<boolean>
    /** Of a database that waits for its tenant, or did: the id that the tenant has then; see sql/catalog. */
    for_tenant: Generated<string | null>
    shape: Generated<string | null>
    /** Tenants in shared tables, and with a schema of their own; a trigger counts them. */
    row_tenants: ColumnType<number, never, never>
    schema_tenants: ColumnType<number, never, never>
    created_at: CreatedAt
  }
  suspension: {
    tenant_id: string
    cause: string
    reason: string | null
    since: CreatedAt
  }
  tenant: {
    id: string
    slug: string
    name: string
    plan_id: string
    parent_id: string | null
    region: string | null
    state: Generated<TenantState>
    settled: Generated<boolean>
    activated_at: ColumnType<Date | null, never, never>
    created_at: CreatedAt
  }
  placement: {
    tenant_id: string
    strategy: Strategy
    database_id: string
    schema_name: string
    epoch: number
  }
  login: {
    database_id: string
    purpose: LoginPurpose
    role_name: string
    credential: ColumnType<Envelope, string, string>
  }
  member: {
    tenant_id: string
    user_id: string
    name: string
    email: string | null
    role: string
    active: Generated<boolean>
    anonymised: Generated<boolean>
    version: Generated<string>
  }
  member_outbox: {
    tenant_id: string
    user_id: string
    version: string
    attempts: Generated<number>
    due_at: ColumnType<Date, never, never>
    failure: string | null
  }
  move: {
    id: string
    tenant_id: string
    state: Generated<MoveState>
    lease: Generated<number>
    plan_id: string | null
    /** Before the tenant arrived with plan_id. */
    plan_before_id: Generated<string | null>
    epoch: number
    source_strategy: Strategy
    source_database_id: string | null
    source_database: string
    source_server: string
    source_schema: string
    target_strategy: Strategy
    target_database_id: string | null
    target_database: string
    target_server: string
    target_schema: string
    request: Generated<MoveRequest | null>
    /** bigint: text, as the driver reads it. */
    window_ms: ColumnType<string, number, never>
    progress: ColumnType<MoveProgress, never, string>
    failure: Generated<string | null>
    /** Left where it is on purpose; taken up unasked how often, and not again before; see sql/catalog. */
    stopped_at: ColumnType<Date | null, never, Date | null>
    attempts: Generated<number>
    retry_at: ColumnType<Date | null, never, Date | null>
    /** The lease whose holder says by a lock that it lives; see sql/catalog. */
    locked_lease: number | null
    created_at: CreatedAt
    switched_at: ColumnType<Date | null, never, Date>
    finished_at: ColumnType<Date | null, never, Date>
  }
  master_key: { only_row: Generated<boolean>; fingerprint: string }
  token_key: { id: string; state: TokenKeyState; since: ColumnType<Date, never, Date> }
  audit: {
    id: Generated<string>
    at: CreatedAt
    action: string
    tenant_id: string | null
    details: ColumnType<Record<string, unknown>, string, never>
  }
}
