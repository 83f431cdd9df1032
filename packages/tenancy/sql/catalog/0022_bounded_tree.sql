-- No tenant has more than 20 above it: so many count for roles (limits.ts, lineageMax), and for shared limits of usage.

create function catalog.bound_tree() returns trigger language plpgsql as $body$
declare
  above integer;
  below integer := 0;
begin
  -- As in catalog/tenants.ts: of two that are given a parent at once, the second one sees the first.
  perform pg_advisory_xact_lock(hashtextextended('quickscale tree', 0));
  with recursive line (id, height) as (
    select new.parent_id, 1
    union all
    select tenant.parent_id, line.height + 1
      from line join catalog.tenant on tenant.id = line.id
     where tenant.parent_id is not null and line.height <= 20
  )
  select max(height) into above from line;
  if tg_op = 'UPDATE' then
    with recursive branch (id, depth) as (
      select new.id, 0
      union all
      select tenant.id, branch.depth + 1
        from branch join catalog.tenant on tenant.parent_id = branch.id
       where tenant.state <> 'deleted' and branch.depth <= 20
    )
    select max(depth) into below from branch;
  end if;
  if above + below > 20 then
    raise exception 'tenant % would have more than 20 above it, or above one below it', new.slug using errcode = 'QS009';
  end if;
  return new;
end
$body$;
create trigger bound_new_tree before insert on catalog.tenant
  for each row when (new.parent_id is not null) execute function catalog.bound_tree();
create trigger bound_tree before update of parent_id on catalog.tenant
  for each row when (new.parent_id is not null and new.parent_id is distinct from old.parent_id)
  execute function catalog.bound_tree();
