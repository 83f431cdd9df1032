-- As in 0014, with the locks of whoever makes a tenant: one round trip takes them and asks what there is to choose from.
-- What follows a lock has a snapshot that is younger than the wait.
create function catalog.begin_choice(
  exclusive text, shared_lock text, wanted_slug text, strategy text,
  out known jsonb, out shared jsonb, out silos jsonb, out draining jsonb)
language plpgsql as $body$
begin
  perform pg_advisory_lock_shared(hashtextextended(shared_lock, 0));
  perform pg_advisory_lock(hashtextextended(exclusive, 0));
  select * into known, shared, silos, draining from catalog.begin_choice(wanted_slug, strategy);
end
$body$;

-- As in 0012; what is registered already, as nearly always, is only looked up.
create or replace function catalog.register_database(place jsonb) returns catalog.database language plpgsql as $body$
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
  select * into registered from catalog.database where server_id = home and name = place ->> 'database';
  if found then return registered; end if;
  insert into catalog.database (server_id, name, kind, login_role)
    values (home, place ->> 'database', place ->> 'kind', place ->> 'login')
    on conflict (server_id, name) do nothing;
  select * into strict registered from catalog.database where server_id = home and name = place ->> 'database';
  return registered;
end
$body$;
