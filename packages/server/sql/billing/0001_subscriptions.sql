-- What each organization has chosen and paid for. The tenant's own plan and state follow: see modules/billing/settle.ts.
create table billing.subscription (
  tenant_id uuid primary key references catalog.tenant on delete cascade,
  status text not null default 'none'
    check (status in ('none', 'trialing', 'active', 'past_due', 'unpaid', 'canceled')),
  plan text not null,
  -- Since when that is the plan.
  plan_since timestamptz not null default now(),
  interval text check (interval in ('month', 'year')),
  currency text check (currency ~ '^[a-z]{3}$'),
  trial_until timestamptz,
  period_ends_at timestamptz,
  -- When it ends, if it has been cancelled.
  cancel_at timestamptz,
  past_due_since timestamptz,
  -- Since when the tenant is suspended because of this; null when it is not, or for another reason.
  suspended_at timestamptz,
  -- With whoever takes the money.
  customer text unique,
  provider_subscription text unique,
  -- How often it was said that something has changed there, and how much of that has been looked at.
  hints bigint not null default 0,
  hints_seen bigint not null default 0,
  -- Grows with every change of what is above.
  version bigint not null default 1,
  -- When it has to be looked at next; never when null.
  due_at timestamptz,
  lease uuid,
  leased_until timestamptz,
  attempts integer not null default 0,
  -- Why the tenant does not follow, when it does not.
  failure text,
  created_at timestamptz not null default now()
);
create index subscription_due_at on billing.subscription (due_at) where due_at is not null;
