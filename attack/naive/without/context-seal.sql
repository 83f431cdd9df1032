-- Ours, but the context is believed without its seal.
create or replace view quickscale.context with (security_barrier) as
select pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 65, 32)::uuid as tenant_id,
       pg_catalog.convert_from(pg_catalog.decode(
         pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 113), 'hex'), 'UTF8') as actor
  from quickscale.context_key;
