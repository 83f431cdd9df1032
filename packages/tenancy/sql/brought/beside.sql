-- Everything in this database that is neither PostgreSQL's own, nor an extension's, nor in the schemas $1: what a customer
-- has put there. Columns one by one, so that one that goes is missed.
with own (oid) as (
  select oid from pg_catalog.pg_namespace
   where nspname = any ($1::text[]) or nspname in ('pg_catalog', 'information_schema', 'pg_toast')
      or nspname ~ '^pg_(toast_)?temp_'
),
object (classid, objid, objsubid) as (
  select 'pg_catalog.pg_namespace'::regclass, oid, 0 from pg_catalog.pg_namespace
   where oid not in (select oid from own) and nspname <> 'public'
  union all
  select 'pg_catalog.pg_class'::regclass, oid, 0 from pg_catalog.pg_class
   where relnamespace not in (select oid from own)
  union all
  select 'pg_catalog.pg_class'::regclass, attrelid, attnum::integer from pg_catalog.pg_attribute
    join pg_catalog.pg_class on pg_class.oid = attrelid
   where relnamespace not in (select oid from own) and relkind in ('r', 'p', 'f', 'm', 'v') and attnum > 0 and not attisdropped
  union all
  select 'pg_catalog.pg_proc'::regclass, oid, 0 from pg_catalog.pg_proc
   where pronamespace not in (select oid from own)
  union all
  select 'pg_catalog.pg_type'::regclass, oid, 0 from pg_catalog.pg_type
   where typnamespace not in (select oid from own) and typtype in ('d', 'e', 'r') and typelem = 0
  union all
  select 'pg_catalog.pg_constraint'::regclass, oid, 0 from pg_catalog.pg_constraint
   where connamespace not in (select oid from own) and contype <> 'n'
  union all
  select 'pg_catalog.pg_operator'::regclass, oid, 0 from pg_catalog.pg_operator
   where oprnamespace not in (select oid from own)
  union all
  select 'pg_catalog.pg_trigger'::regclass, pg_trigger.oid, 0 from pg_catalog.pg_trigger
    join pg_catalog.pg_class on pg_class.oid = tgrelid
   where relnamespace not in (select oid from own) and not tgisinternal
  union all
  select 'pg_catalog.pg_attrdef'::regclass, pg_attrdef.oid, 0 from pg_catalog.pg_attrdef
    join pg_catalog.pg_class on pg_class.oid = adrelid
   where relnamespace not in (select oid from own)
  union all
  select 'pg_catalog.pg_extension'::regclass, oid, 0 from pg_catalog.pg_extension
   where extname <> 'plpgsql' and extnamespace not in (select oid from own)
  union all
  select 'pg_catalog.pg_event_trigger'::regclass, oid, 0 from pg_catalog.pg_event_trigger
  union all
  select 'pg_catalog.pg_publication'::regclass, oid, 0 from pg_catalog.pg_publication
  union all
  select 'pg_catalog.pg_foreign_server'::regclass, oid, 0 from pg_catalog.pg_foreign_server
  union all
  select 'pg_catalog.pg_default_acl'::regclass, oid, 0 from pg_catalog.pg_default_acl
  union all
  select 'pg_catalog.pg_largeobject'::regclass, oid, 0 from pg_catalog.pg_largeobject_metadata
)
select pg_catalog.concat(named.type, ' ', named.identity) as name
  from object
  cross join lateral pg_catalog.pg_identify_object(classid, objid, objsubid) as named
 where not exists (select from pg_catalog.pg_depend
                    where pg_depend.classid = object.classid and pg_depend.objid = object.objid and deptype = 'e')
 order by name
