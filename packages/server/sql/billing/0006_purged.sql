-- Customers whose organization was forgotten altogether before their subscriptions were ended at the provider. There they would go on.
create table billing.purged (
  customer text primary key,
  tenant_id uuid not null,
  purged_at timestamptz not null default now()
);
create function billing.keep_purged() returns trigger language plpgsql as $$
begin
  insert into billing.purged (customer, tenant_id) values (old.customer, old.tenant_id) on conflict do nothing;
  return null;
end $$;
create trigger keep_purged after delete on billing.subscription
  for each row when (old.customer is not null) execute function billing.keep_purged();
