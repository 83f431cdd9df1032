-- What the logins beside the application's may do here. A reader enters as every session does, and may read what it
-- finds; an unscoped writer enters nowhere and holds the lock that a cutover takes exclusively.

grant usage on schema quickscale, extensions to quickscale_reader, quickscale_unscoped;

set local role quickscale_seal;

grant select on quickscale.context to quickscale_reader;
grant execute on function quickscale.enter, quickscale.deny, quickscale.tenant_id, quickscale.actor_id,
  quickscale.actor_role, quickscale.gate to quickscale_reader;

-- Held until the transaction ends: whoever freezes a tenant of this database waits for those who ask no fence.
create function quickscale.enter_unscoped() returns void
language plpgsql volatile security definer as $body$
begin
  perform pg_catalog.pg_advisory_xact_lock_shared(
    pg_catalog.hashtextextended('quickscale unscoped writers', 0));
end
$body$;
revoke all on function quickscale.enter_unscoped from public;
grant execute on function quickscale.enter_unscoped to quickscale_unscoped, quickscale_migrator;

reset role;
set local role quickscale_owner;

-- The layout gives these to what is made from now on.
do $grants$
declare
  target record;
begin
  for target in
    select oid, nspname from pg_catalog.pg_namespace
     where nspowner = 'quickscale_owner'::regrole
  loop
    execute pg_catalog.format('grant usage on schema %I to quickscale_reader', target.nspname);
  end loop;
  for target in
    select oid::regclass as name from pg_catalog.pg_class
     where relowner = 'quickscale_owner'::regrole and relkind in ('r', 'v', 'p') and not relispartition
  loop
    execute pg_catalog.format('grant select on %s to quickscale_reader', target.name);
  end loop;
end
$grants$;

reset role;
