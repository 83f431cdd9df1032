-- What a choice among servers needs to know, so that it need not count a million placements.
alter table catalog.database
  -- Tenants with rows in the shared tables, and tenants with a schema of their own.
  add column row_tenants integer not null default 0,
  add column schema_tenants integer not null default 0;

-- The region that the tenant's data must stay in, if any.
alter table catalog.tenant add column region text;

update catalog.database set
  row_tenants = (select count(*) from catalog.placement where database_id = database.id and strategy = 'rls'),
  schema_tenants = (select count(*) from catalog.placement where database_id = database.id and strategy = 'schema');

create function catalog.count_placement() returns trigger language plpgsql as $body$
begin
  if tg_op <> 'INSERT' and old.strategy <> 'database' then
    update catalog.database set
      row_tenants = row_tenants - (old.strategy = 'rls')::integer,
      schema_tenants = schema_tenants - (old.strategy = 'schema')::integer
     where id = old.database_id;
  end if;
  if tg_op <> 'DELETE' and new.strategy <> 'database' then
    update catalog.database set
      row_tenants = row_tenants + (new.strategy = 'rls')::integer,
      schema_tenants = schema_tenants + (new.strategy = 'schema')::integer
     where id = new.database_id;
  end if;
  return null;
end
$body$;
create trigger count_placement after insert or delete or update of database_id, strategy on catalog.placement
  for each row execute function catalog.count_placement();
