-- Roles belong to the whole server, databases to one installation: these carry no password and cannot log in.
-- Each registered database gets a login role of its own, a member of quickscale_runtime (and of quickscale_silo
-- where it is the only tenant).
--
--   quickscale_seal      owns the fence, the keys and the functions that check them. Never owns a tenant table,
--                        so that one careless definer function of an application cannot read a key.
--   quickscale_owner     owns every tenant table. Policies are forced on it.
--   quickscale_migrator  runs migrations: policies are inactive for it (BYPASSRLS), because a foreign key that is
--                        validated through a policy is validated against the visible rows only.
--   quickscale_runtime   may enter, and may use the tables of a shared database.
--   quickscale_silo      may use the tables of a tenant's own database; suspension revokes this membership.
do $roles$
declare
  role_name text;
begin
  foreach role_name in array array['quickscale_seal', 'quickscale_owner', 'quickscale_runtime', 'quickscale_silo'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      execute pg_catalog.format('create role %I nologin nosuperuser nobypassrls nocreatedb nocreaterole', role_name);
    end if;
  end loop;
  if not exists (select from pg_catalog.pg_roles where rolname = 'quickscale_migrator') then
    create role quickscale_migrator nologin nosuperuser bypassrls nocreatedb nocreaterole;
    grant quickscale_owner to quickscale_migrator;
  end if;
  -- From 16 on, where an administrator need not be a superuser, making a role gives the right to grant it, no more.
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    execute pg_catalog.format(
      'grant quickscale_seal, quickscale_owner, quickscale_migrator to %I with inherit true, set true', current_user);
  end if;
end
$roles$;
