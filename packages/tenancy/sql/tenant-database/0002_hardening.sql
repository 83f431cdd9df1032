-- Takes from PUBLIC what lets one tenant's SQL reach into another's work: settings that outlive a transaction
-- (pg_settings' update rule calls set_config too), locks, channels and objects shared by the whole database, the
-- texts of others' statements, and plpgsql, without which there is no DO. No guarantee rests on this: sessions ask has_function_privilege and clean
-- up after themselves where it is not so. Only a superuser owns these functions; elsewhere a REVOKE merely warns.
do $harden$
declare
  target regprocedure;
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;
  for target in
    select oid::regprocedure from pg_catalog.pg_proc
     where pronamespace = 'pg_catalog'::regnamespace
       and (proname ~ '^pg_(try_)?advisory_'
            or proname ~ '^(lo_.*|loread|lowrite)$'
            or proname in ('set_config', 'setseed', 'pg_notify', 'pg_logical_emit_message', 'pg_cancel_backend',
                           'pg_terminate_backend', 'currtid2', 'pg_prepared_statement', 'pg_stat_get_activity',
                           'pg_stat_get_backend_activity'))
  loop
    execute pg_catalog.format('revoke execute on function %s from public', target);
    execute pg_catalog.format('grant execute on function %s to quickscale_migrator', target);
  end loop;
  grant execute on function pg_catalog.set_config(text, text, boolean),
    pg_catalog.pg_advisory_xact_lock_shared(bigint) to quickscale_seal;
  grant execute on function pg_catalog.pg_stat_get_activity(integer),
    pg_catalog.pg_stat_get_backend_activity(integer) to pg_read_all_stats;
  revoke usage on language plpgsql from public;
  grant usage on language plpgsql to quickscale_seal, quickscale_owner, quickscale_migrator;
end
$harden$;
