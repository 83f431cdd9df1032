-- Ours, but the seal of a context does not cover the transaction it was made in.
create or replace view quickscale.context with (security_barrier) as
select case
         when pg_catalog.left(pg_catalog.current_setting('quickscale.context', true), 64)
              = pg_catalog.encode(pg_catalog.sha256(outer_pad || pg_catalog.sha256(inner_pad || pg_catalog.decode(
                  pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 65), 'hex'))), 'hex')
         then pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 65, 32)::uuid
         else quickscale.deny()
       end as tenant_id,
       pg_catalog.convert_from(pg_catalog.decode(
         pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 113), 'hex'), 'UTF8') as actor
  from quickscale.context_key;

create or replace function quickscale.enter(gate_id text, claims bytea, mac bytea) returns void
language plpgsql volatile security definer as $body$
begin
  if (select pg_catalog.set_config('quickscale.context', pg_catalog.encode(
               pg_catalog.sha256(gate.context_outer || pg_catalog.sha256(gate.context_inner || claims)) || claims,
               'hex'), true) is not null
             and pg_catalog.set_config('search_path', gate.search_path, true) is not null
        from quickscale.gate
       where gate.id = gate_id
         and mac = pg_catalog.sha256(gate.token_outer || pg_catalog.sha256(gate.token_inner || claims))
         and claims > (gate.tenant || pg_catalog.timestamptz_send(pg_catalog.clock_timestamp())))
  then
    return;
  end if;
  perform quickscale.enter_slowly(gate_id, claims, mac);
end
$body$;
