-- Tables with rows of many tenants: what each row of them takes, as an expression, and how many pages there are to read. A value
-- that is stored apart is counted by its size, and not read.
select class.relname::text as name,
       pg_relation_size(class.oid)::float8 / current_setting('block_size')::float8 as pages,
       -- Header and pointer of the row, and about as much in each index.
       28 + 32 * (select count(*) from pg_index where indrelid = class.oid)::integer as overhead,
       array(select attname::text from pg_attribute
              where attrelid = class.oid and attnum > 0 and not attisdropped order by attnum) as columns
  from pg_class as class
  join pg_attribute on attrelid = class.oid and attname = 'tenant_id' and not attisdropped
 where class.relnamespace = 'app'::regnamespace and class.relkind = 'r'
 order by 1
