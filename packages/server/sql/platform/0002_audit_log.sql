-- Who did what outside of tenants: accounts, organizations, staff. No names, no addresses: ids, which say nothing once an account
-- is gone.
create table platform.audit_log (
  id uuid primary key default gen_random_uuid(),
  at timestamptz not null default now(),
  -- Null for whoever was not known yet.
  actor text,
  credential text,
  impersonator text,
  action text not null,
  entity text,
  tenant_id uuid,
  request_id uuid not null,
  outcome text not null check (outcome in ('done', 'refused', 'failed')),
  code text
);
create index audit_log_at on platform.audit_log (at, id);
create index audit_log_actor on platform.audit_log (actor, at);

create function platform.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'platform.audit_log is append-only' using errcode = '42501';
end $$;
create trigger append_only before update or delete or truncate on platform.audit_log
  for each statement execute function platform.refuse_change();
alter table platform.audit_log enable always trigger append_only;
