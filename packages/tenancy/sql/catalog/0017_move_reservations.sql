-- As in 0014; a tenant on the move has room at both of its ends: where it is going no other one may take it, nor where it may
-- have to come back to. Its placement counts at one of them (0005).
create or replace function catalog.list_supply(strategy text, out shared jsonb, out silos jsonb, out draining jsonb)
language plpgsql as $body$
begin
  draining := (select jsonb_agg(name) from catalog.server where draining_since is not null);
  if strategy = 'database' then
    silos := (select jsonb_object_agg(name, count)
                from (select server_id, count(*) from catalog.database where kind = 'silo' group by server_id) as silo
                join catalog.server on server.id = server_id);
  else
    shared := (
      with moving as (
        select placement.epoch = move.epoch + 1 as arrived, move.*
          from catalog.move join catalog.placement using (tenant_id)
         where move.finished_at is null),
      reserved as (
        select case when arrived then source_database_id else target_database_id end as database_id,
               count(*) filter (where case when arrived then source_strategy else target_strategy end = 'rls') as row_count,
               count(*) filter (where case when arrived then source_strategy else target_strategy end = 'schema') as schema_count
          from moving group by 1)
      select jsonb_agg(catalog.describe_database(database) || jsonb_build_object(
               'row_tenants', row_tenants + coalesce(row_count, 0),
               'schema_tenants', schema_tenants + coalesce(schema_count, 0)) order by created_at, id)
        from catalog.database left join reserved on reserved.database_id = database.id
       where kind = 'shared');
  end if;
end
$body$;
