-- Gives back what sql/tenant-database/0002_hardening.sql takes from PUBLIC, and takes away the marks of 0008_leakproof.sql.
-- Where the administrator is no superuser neither was done.
do $release$
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
    -- Of these two PUBLIC has no right to begin with.
    if target not in (select oid from pg_catalog.pg_proc where proname in ('lo_import', 'lo_export')) then
      execute pg_catalog.format('grant execute on function %s to public', target);
    end if;
    execute pg_catalog.format('revoke execute on function %s from quickscale_migrator', target);
  end loop;
  revoke execute on function pg_catalog.set_config(text, text, boolean),
    pg_catalog.pg_advisory_xact_lock_shared(bigint) from quickscale_seal;
  revoke execute on function pg_catalog.pg_stat_get_activity(integer),
    pg_catalog.pg_stat_get_backend_activity(integer) from pg_read_all_stats;
  grant usage on language plpgsql to public;
  revoke usage on language plpgsql from quickscale_seal, quickscale_owner, quickscale_migrator;
  foreach target in array array[
    'pg_catalog.numeric_eq(numeric, numeric)', 'pg_catalog.numeric_ne(numeric, numeric)',
    'pg_catalog.numeric_lt(numeric, numeric)', 'pg_catalog.numeric_le(numeric, numeric)',
    'pg_catalog.numeric_gt(numeric, numeric)', 'pg_catalog.numeric_ge(numeric, numeric)',
    'pg_catalog.enum_eq(anyenum, anyenum)', 'pg_catalog.enum_ne(anyenum, anyenum)',
    'pg_catalog.enum_lt(anyenum, anyenum)', 'pg_catalog.enum_le(anyenum, anyenum)',
    'pg_catalog.enum_gt(anyenum, anyenum)', 'pg_catalog.enum_ge(anyenum, anyenum)',
    'pg_catalog.jsonb_exists(jsonb, text)', 'pg_catalog.jsonb_exists_any(jsonb, text[])',
    'pg_catalog.jsonb_exists_all(jsonb, text[])'
  ]::regprocedure[] loop
    execute pg_catalog.format('alter function %s not leakproof', target);
  end loop;
end
$release$;
