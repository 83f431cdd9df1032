-- Gives PUBLIC back what sql/tenant-database/0002_hardening.sql takes away: the rights of a managed server, where
-- the administrator is no superuser. What an attack claims there must hold without that help. Functions that
-- PostgreSQL itself reserves have initial privileges, and keep them.
do $soften$
declare
  target regprocedure;
begin
  for target in
    select oid::regprocedure from pg_catalog.pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and proacl is not null
       and not exists (select from pg_catalog.pg_init_privs
                        where classoid = 'pg_catalog.pg_proc'::regclass and objoid = pg_proc.oid)
  loop
    execute pg_catalog.format('grant execute on function %s to public', target);
  end loop;
  grant usage on language plpgsql to public;
end
$soften$;
