-- What PostgreSQL calls by itself runs as this role: functions of triggers, defaults, checks, generated columns, index
-- expressions. Their caller is not always a tenant: a referential action runs as the owner of the table and without its
-- policies, a migration as quickscale_migrator. This role owns no table and has the rights of a tenant: policies hold.
do $role$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'quickscale_trigger') then
    create role quickscale_trigger nologin nosuperuser nobypassrls nocreatedb nocreaterole;
    grant quickscale_runtime, quickscale_silo to quickscale_trigger;
    grant quickscale_trigger to quickscale_migrator;
  end if;
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    execute pg_catalog.format('grant quickscale_trigger to %I with inherit true, set true', current_user);
  end if;
end
$role$;
