-- Ours, but tables of a tenant's own schema do not check whose rows they hold.
do $drop$
declare
  target record;
begin
  for target in
    select conrelid::regclass as relation, conname from pg_catalog.pg_constraint where conname = 'quickscale_tenant_own' and coninhcount = 0
  loop
    execute pg_catalog.format('alter table %s drop constraint %I', target.relation, target.conname);
  end loop;
end
$drop$;
