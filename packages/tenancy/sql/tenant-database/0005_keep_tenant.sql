-- A referential action is not checked by a policy: a trigger before it could give a row to another tenant. Whatever has
-- such a trigger gets this one behind it.
set local role quickscale_seal;

create function quickscale.keep_tenant() returns trigger
language plpgsql as $body$
begin
  raise exception 'a trigger of table % has given a row to another tenant', tg_relid::pg_catalog.regclass
    using errcode = '42501';
end
$body$;

revoke all on function quickscale.keep_tenant from public;
grant execute on function quickscale.keep_tenant to quickscale_owner, quickscale_migrator;

reset role;
