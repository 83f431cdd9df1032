-- Groups of the logins that are not for one tenant's application. Like those of 0001, without password or login.
--
--   quickscale_reader    may enter a tenant, and read its tables: what a query over the whole fleet runs as.
--   quickscale_unscoped  may take the lock of unscoped writers; its members have BYPASSRLS, and are for scripts.
do $roles$
declare
  role_name text;
begin
  foreach role_name in array array['quickscale_reader', 'quickscale_unscoped'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      execute pg_catalog.format('create role %I nologin nosuperuser nobypassrls nocreatedb nocreaterole', role_name);
    end if;
  end loop;
end
$roles$;
