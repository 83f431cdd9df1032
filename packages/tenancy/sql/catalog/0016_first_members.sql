-- A tenant comes with its first members: who asked for it is its owner from the first moment, whatever is interrupted then.
create or replace function catalog.record_tenant(wanted jsonb, place jsonb)
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
  if wanted ? 'members' then
    -- Whoever is being forgotten in every tenant at this moment is not added to another one.
    perform pg_advisory_xact_lock(hashtextextended('member ' || (each ->> 'userId'), 0))
       from jsonb_array_elements(wanted -> 'members') as each order by each ->> 'userId';
    insert into catalog.member (tenant_id, user_id, name, email, role)
      select made.id, (each ->> 'userId')::uuid, each ->> 'name', each ->> 'email', each ->> 'role'
        from jsonb_array_elements(wanted -> 'members') as each
       where not exists (select from catalog.member as known
                          where known.user_id = (each ->> 'userId')::uuid and known.anonymised);
  end if;
  tenant := to_jsonb(made);
  database := catalog.describe_database(home);
  return next;
end
$body$;
