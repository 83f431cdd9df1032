-- Tenants on their way from one place to another, and those that have arrived. What is decided in the source's own database
-- (tenant-database/0010) counts; what stands here says how to find it, and shows how far a move is.

create table catalog.move (
  id uuid primary key,
  tenant_id uuid not null references catalog.tenant,
  state text not null default 'planned' check (state in (
    'planned', 'copying', 'streaming', 'switched', 'active', 'returning', 'purging', 'cancelling',
    'done', 'returned', 'cancelled')),
  -- Grows whenever a process takes the move over; what an earlier one still does is refused.
  lease integer not null default 0,
  -- The plan that the tenant has when it has arrived, if it is to change.
  plan_id text references catalog.plan,
  epoch integer not null,
  source_strategy text not null,
  source_database_id uuid references catalog.database on delete set null,
  source_database text not null,
  source_server text not null,
  source_schema text not null,
  target_strategy text not null,
  target_database_id uuid references catalog.database on delete set null,
  target_database text not null,
  target_server text not null,
  target_schema text not null,
  -- What somebody has asked the mover for.
  request text check (request in ('cancel', 'rollback', 'finish')),
  -- How long the way back stays open.
  window_ms bigint not null,
  progress jsonb not null default '{}',
  failure text,
  created_at timestamptz not null default now(),
  switched_at timestamptz,
  finished_at timestamptz
);
-- One move of a tenant at a time.
create unique index move_unfinished on catalog.move (tenant_id) where finished_at is null;
create index move_created on catalog.move (created_at);

-- Whoever routes to the tenant gets connections to its next place ready: see 0007 for the channel.
create function catalog.announce_arrival(moving uuid) returns void language sql as $body$
  select pg_notify('quickscale_changes', concat_ws(' ', '>', move.target_database_id, tenant.id, tenant.slug))
    from catalog.move join catalog.tenant on tenant.id = move.tenant_id
   where move.id = moving
$body$;
