-- Processes remember where tenants live. Whatever changes that is announced, so that they forget it at once; what is made
-- anew is not, because nobody remembers it yet. The payload: a tenant's uuid and slugs, or * for whatever concerns many.

create function catalog.announce_tenant() returns trigger language plpgsql as $body$
begin
  perform pg_notify('quickscale_changes', concat_ws(' ', old.id, old.slug, new.slug));
  return null;
end
$body$;
create trigger announce after update or delete on catalog.tenant
  for each row execute function catalog.announce_tenant();

create function catalog.announce_placement() returns trigger language plpgsql as $body$
begin
  perform pg_notify('quickscale_changes', concat_ws(' ', tenant.id, tenant.slug))
     from catalog.tenant where tenant.id = old.tenant_id;
  return null;
end
$body$;
create trigger announce after update or delete on catalog.placement
  for each row execute function catalog.announce_placement();

create function catalog.announce_all() returns trigger language plpgsql as $body$
begin
  perform pg_notify('quickscale_changes', '*');
  return null;
end
$body$;
-- Nobody is routed to a database before it is ready, and what else is written there does not concern routes.
create trigger announce after update of server_id, name, login_role, credential on catalog.database
  for each row when (old.ready) execute function catalog.announce_all();
create trigger announce after update or delete on catalog.server
  for each row execute function catalog.announce_all();
create trigger announce after update on catalog.token_key
  for each row execute function catalog.announce_all();
