-- What the tenant has used: appended, never changed. It is kept with the tenant, in the transaction of the work that is
-- counted, and goes wherever the tenant goes.
create table usage_event (
  meter text not null constraint usage_event_meter_check check (char_length(meter) between 1 and 63),
  -- What makes a repetition the same.
  key text not null constraint usage_event_key_check check (char_length(key) between 1 and 255),
  quantity bigint not null constraint usage_event_quantity_check check (quantity between 1 and 1000000000000),
  recorded_at timestamptz not null default now(),
  primary key (meter, key)
);
create index usage_event_recorded_at_idx on usage_event (recorded_at);

-- Its sum by month (UTC), for limits that hold to the unit.
create table usage_total (
  meter text not null,
  period date not null,
  quantity bigint not null,
  primary key (meter, period)
);
