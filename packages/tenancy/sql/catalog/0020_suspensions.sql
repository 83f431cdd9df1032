-- Why a tenant is suspended, and who keeps it so: there may be several, each with a cause of its own, and it opens when the last
-- one is gone. Tenants that are open have none.
create table catalog.suspension (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  cause text not null check (cause ~ '^[a-z][a-z0-9-]{0,62}$'),
  reason text,
  since timestamptz not null default now(),
  primary key (tenant_id, cause)
);
insert into catalog.suspension (tenant_id, cause)
  select id, 'operator' from catalog.tenant where state = 'suspended';

-- Whoever opens or removes it, by whatever way.
create function catalog.forget_suspensions() returns trigger language plpgsql as $body$
begin
  delete from catalog.suspension where tenant_id = new.id;
  return null;
end
$body$;
create trigger forget_suspensions after update of state on catalog.tenant
  for each row when (new.state in ('active', 'deleted')) execute function catalog.forget_suspensions();
