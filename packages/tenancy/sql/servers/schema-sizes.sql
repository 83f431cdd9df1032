-- Bytes of each tenant's own schema.
select nspname::text as schema, sum(pg_total_relation_size(class.oid))::float8 as bytes
  from pg_class as class join pg_namespace as namespace on namespace.oid = class.relnamespace
 where class.relkind = 'r' and starts_with(nspname, 'tenant_')
 group by 1
