-- What making a tenant asks of the catalog, one round trip each; functions, because a session keeps their plans. They are
-- called on the connection that holds the lock of the tenant's slug.

-- Everything of a database that the library wants to know, its server included.
create function catalog.describe_database(wanted catalog.database) returns jsonb language plpgsql stable as $body$
begin
  return (select to_jsonb(server) || to_jsonb(wanted) || jsonb_build_object(
              'server', server.name, 'brought', server.identity is not null)
            from catalog.server where id = wanted.server_id);
end
$body$;

-- What there is to choose a place from, as far as the strategy concerns it.
create function catalog.list_supply(strategy text, out shared jsonb, out silos jsonb) language plpgsql as $body$
begin
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

-- The tenant that has the slug already, or else what there is to choose from. Whoever chooses makes others wait, or two of
-- them would both take the last room under a cap: the lock is the session's until end_choice, or until it gives up all of
-- its locks. What follows the lock has a snapshot that is younger than the wait.
create function catalog.begin_choice(wanted_slug text, strategy text, out known jsonb, out shared jsonb, out silos jsonb)
language plpgsql as $body$
begin
  select to_jsonb(tenant) into known from catalog.tenant where slug = wanted_slug and state <> 'deleted';
  if found then return; end if;
  perform pg_advisory_lock(hashtextextended('quickscale choice', 0));
  select * into shared, silos from catalog.list_supply(strategy);
end
$body$;

-- A choice is made: its lock becomes the transaction's. Given up by the session now, it would be free before anybody sees
-- what was chosen.
create function catalog.end_choice() returns void language plpgsql as $body$
begin
  perform pg_advisory_xact_lock(hashtextextended('quickscale choice', 0));
  perform pg_advisory_unlock(hashtextextended('quickscale choice', 0));
end
$body$;

-- The database of that name on a server, registered if it has yet to be made; with its server when a customer brings it.
create function catalog.register_database(place jsonb) returns catalog.database language plpgsql as $body$
declare
  home uuid;
  registered catalog.database;
begin
  if place ? 'brought' then
    insert into catalog.server (name, host, port, identity, credential)
      select place ->> 'server', host, port, identity, credential
        from jsonb_to_record(place -> 'brought') as brought (host text, port integer, identity text, credential jsonb);
  end if;
  select id into home from catalog.server where name = place ->> 'server';
  insert into catalog.database (server_id, name, kind, login_role)
    values (home, place ->> 'database', place ->> 'kind', place ->> 'login')
    on conflict (server_id, name) do nothing;
  select * into strict registered from catalog.database where server_id = home and name = place ->> 'database';
  return registered;
end
$body$;

-- Ends a choice, unless the place was brought, by recording a tenant together with its place. One that waits there, of the
-- shape that is asked for, is taken first; its tenant has the id that it was made for.
create function catalog.record_tenant(wanted jsonb, place jsonb)
returns table (tenant jsonb, database jsonb, warm boolean) language plpgsql as $body$
declare
  home catalog.database;
  made catalog.tenant;
begin
  if not place ? 'brought' then perform catalog.end_choice(); end if;
  warm := false;
  if place ? 'shape' then
    update catalog.database set kind = 'silo'
     where id = (select waiting.id from catalog.database as waiting join catalog.server on server.id = server_id
                  where kind = 'warm' and ready and shape = place ->> 'shape' and server.name = place ->> 'server'
                  order by waiting.created_at limit 1 for update of waiting skip locked)
    returning * into home;
    warm := found;
  end if;
  if not warm then home := catalog.register_database(place); end if;
  insert into catalog.tenant (id, slug, name, plan_id, parent_id, region)
    values (case when warm then home.for_tenant else (wanted ->> 'id')::uuid end, wanted ->> 'slug',
            wanted ->> 'name', wanted ->> 'plan', (wanted ->> 'parentId')::uuid, wanted ->> 'region')
    returning * into made;
  insert into catalog.placement (tenant_id, strategy, database_id, schema_name, epoch)
    values (made.id, place ->> 'strategy', home.id, place ->> 'schema', 1);
  tenant := to_jsonb(made);
  database := catalog.describe_database(home);
  return next;
end
$body$;

-- Hands a tenant over, with its line in the audit log; no row when it is not in the making any more.
create function catalog.activate_tenant(wanted uuid, details jsonb) returns setof catalog.tenant
language plpgsql as $body$
begin
  return query update catalog.tenant set state = 'active', settled = true
    where id = wanted and state = 'provisioning' returning *;
  if found then
    insert into catalog.audit (action, tenant_id, details) values ('tenant.created', wanted, details);
  end if;
end
$body$;
