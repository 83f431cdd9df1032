-- Events of the provider that have been heard: one that comes again says nothing new.
create table billing.event (
  id text primary key,
  type text not null,
  -- When it happened there.
  created_at timestamptz not null,
  received_at timestamptz not null default now()
);
create index event_received_at on billing.event (received_at);
