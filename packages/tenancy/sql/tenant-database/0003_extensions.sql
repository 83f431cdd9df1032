-- Extensions are made once per database by the administrator, in a schema where nobody else may create anything. Tenants
-- look there behind their own place.
create schema if not exists extensions;
grant usage on schema extensions to quickscale_runtime, quickscale_silo, quickscale_owner, quickscale_migrator;

set local role quickscale_seal;

create or replace function quickscale.open_gates(wanted uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $body$
  insert into quickscale.gate
  select opened.id, pg_catalog.uuid_send(opened.tenant_id),
         pg_catalog.concat(pg_catalog.quote_ident(opened.schema_name), ', extensions, pg_temp'),
         quickscale.pad_key(opened.key, 54), quickscale.pad_key(opened.key, 92),
         opened.inner_pad, opened.outer_pad
    from (select named.*,
                 pg_catalog.sha256(named.token_outer || pg_catalog.sha256(
                   named.token_inner || pg_catalog.convert_to(named.id, 'UTF8'))) as key
            from (select placement.tenant_id, placement.schema_name,
                         pg_catalog.concat(placement.tenant_id, '|', placement.epoch, '|', token_key.id) as id,
                         token_key.inner_pad as token_inner, token_key.outer_pad as token_outer,
                         context_key.inner_pad, context_key.outer_pad
                    from quickscale.placement cross join quickscale.token_key cross join quickscale.context_key
                   where placement.state = 'active' and (wanted is null or placement.tenant_id = wanted)
                 ) as named offset 0
         ) as opened
$body$;

lock table quickscale.gate in share row exclusive mode;
delete from quickscale.gate;
select quickscale.open_gates(null);

reset role;
