import type { ColumnType, Generated, Kysely, Selectable, Updateable } from 'kysely'

type Moment = ColumnType<Date | null, Date | null | undefined, Date | null>
/** bigint, as text. */
type Count = ColumnType<string, never, string>

interface SubscriptionTable {
  tenant_id: ColumnType<string, string, never>
  status: Generated<'none' | 'trialing' | 'active' | 'past_due' | 'unpaid' | 'canceled'>
  plan: string
  plan_since: ColumnType<Date, never, Date>
  interval: ColumnType<'month' | 'year' | null, never, 'month' | 'year' | null>
  currency: ColumnType<string | null, never, string | null>
  trial_until: Moment
  period_ends_at: Moment
  cancel_at: Moment
  past_due_since: Moment
  suspended_at: Moment
  customer: ColumnType<string | null, never, string | null>
  provider_subscription: ColumnType<string | null, never, string | null>
  hints: Count
  hints_seen: Count
  version: Count
  due_at: Moment
  lease: ColumnType<string | null, never, string | null>
  leased_until: Moment
  moving_by: ColumnType<string | null, never, string | null>
  moving_until: Moment
  attempts: Generated<number>
  failure: ColumnType<string | null, never, string | null>
  created_at: ColumnType<Date, never, never>
}

/** The tables of sql/billing. */
export interface BillingTables {
  subscription: SubscriptionTable
  usage_hour: {
    tenant_id: string
    meter: string
    hour: Date
    quantity: string
    reported: Generated<string>
  }
  usage_rollup: { tenant_id: string; marked_hour: Date; rolled_through: Date; due_at: Date | null }
  usage_month: { tenant_id: string; meter: string; period: Date; own: string; below: string }
  quota_warning: {
    tenant_id: string
    quota: string
    period: string
    warned_at: ColumnType<Date, never, never>
  }
  invoice: {
    id: Generated<string>
    tenant_id: string
    number: string
    amount: string
    currency: string
    period_starts_at: Date
    period_ends_at: Date
    issued_at: Date
    due_at: Date | null
    url: string | null
    status: Generated<'open' | 'paid' | 'void'>
    settled_at: Date | null
    recorded_at: ColumnType<Date, never, never>
  }
  purged: { customer: string; tenant_id: string; purged_at: ColumnType<Date, never, never> }
  event: { id: string; type: string; created_at: Date; received_at: ColumnType<Date, never, never> }
}

export type Db = Kysely<BillingTables>
export type Subscription = Selectable<SubscriptionTable>
export type Changes = Updateable<SubscriptionTable>
