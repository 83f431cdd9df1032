-- Usage by hour, rolled up from the tenants' own tables: for invoices, and for whoever asks about many tenants.
create table billing.usage_hour (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  meter text not null,
  hour timestamptz not null,
  quantity bigint not null,
  -- How much of it the provider has been told of.
  reported bigint not null default 0,
  primary key (tenant_id, meter, hour)
);
create index usage_hour_unreported on billing.usage_hour (meter, hour) where reported < quantity;

-- How far that is done. A tenant is marked before it records; so none that has recorded is missed.
create table billing.usage_rollup (
  tenant_id uuid primary key references catalog.tenant on delete cascade,
  -- The last hour in which it may have recorded.
  marked_hour timestamptz not null,
  -- Hours before this one are rolled up.
  rolled_through timestamptz not null,
  due_at timestamptz
);
create index usage_rollup_due_at on billing.usage_rollup (due_at) where due_at is not null;

-- Warnings that owners have been sent, one for each month.
create table billing.quota_warning (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  quota text not null,
  period date not null,
  warned_at timestamptz not null default now(),
  primary key (tenant_id, quota, period)
);
