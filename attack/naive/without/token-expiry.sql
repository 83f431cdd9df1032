-- Ours, but the expiry of a token is not checked.
create or replace function quickscale.enter(gate_id text, claims bytea, mac bytea) returns void
language plpgsql volatile security definer as $body$
begin
  perform pg_catalog.set_config('search_path', gate.search_path, true),
          pg_catalog.set_config('quickscale.context', pg_catalog.encode(
            pg_catalog.sha256(gate.context_outer || pg_catalog.sha256(gate.context_inner
              || pg_catalog.timestamptz_send(pg_catalog.transaction_timestamp()) || claims)) || claims, 'hex'), true)
     from quickscale.gate
    where gate.id = gate_id
      and mac = pg_catalog.sha256(gate.token_outer || pg_catalog.sha256(gate.token_inner || claims));
  if not found then
    raise exception 'refused' using errcode = 'QS004';
  end if;
end
$body$;
