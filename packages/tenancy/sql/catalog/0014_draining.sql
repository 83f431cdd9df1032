-- A server that is drained takes no tenant, neither a new one nor one on the move, until that is taken back.
alter table catalog.server add column draining_since timestamptz;

-- As in 0012, with the names of those servers. A process of an earlier release does not look at them; the drain finds what
-- it has placed there meanwhile.
drop function catalog.begin_choice(text, text);
drop function catalog.list_supply(text);

create function catalog.list_supply(strategy text, out shared jsonb, out silos jsonb, out draining jsonb)
language plpgsql as $body$
begin
  draining := (select jsonb_agg(name) from catalog.server where draining_since is not null);
  if strategy = 'database' then
    silos := (select jsonb_object_agg(name, count)
                from (select server_id, count(*) from catalog.database where kind = 'silo' group by server_id) as silo
                join catalog.server on server.id = server_id);
  else
    shared := (select jsonb_agg(catalog.describe_database(database) order by created_at, id)
                 from catalog.database where kind = 'shared');
  end if;
end
$body$;

create function catalog.begin_choice(
  wanted_slug text, strategy text, out known jsonb, out shared jsonb, out silos jsonb, out draining jsonb)
language plpgsql as $body$
begin
  select to_jsonb(tenant) into known from catalog.tenant where slug = wanted_slug and state <> 'deleted';
  if found then return; end if;
  perform pg_advisory_lock(hashtextextended('quickscale choice', 0));
  select * into shared, silos, draining from catalog.list_supply(strategy);
end
$body$;
