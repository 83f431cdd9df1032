-- Everything that migrations and their completion can make in schema $1, one row each, as text that does not depend on
-- oids or on the schema's name: for comparing two places. Runs under a search_path that begins with that schema, so that
-- PostgreSQL prints its names unqualified.
with place as (
  select oid, nspacl, nspowner from pg_namespace where nspname = $1
),
relation as (
  select class.* from pg_class class join place on place.oid = class.relnamespace
)
select 'schema' as kind, '' as object, concat_ws(' ', pg_get_userbyid(nspowner), array(select item::text from unnest(nspacl) item order by 1)) as definition from place
union all
select case relkind when 'v' then 'view' when 'S' then 'sequence' when 'i' then 'index' when 'I' then 'index' else 'table' end, relname,
       concat_ws(' ', pg_get_userbyid(relowner), relpersistence, case when relrowsecurity then 'row security' end,
                 case when relforcerowsecurity then 'forced' end, relreplident, reloptions, array(select item::text from unnest(relacl) item order by 1),
                 pg_get_partkeydef(relation.oid), pg_get_expr(relpartbound, relation.oid),
                 case when relkind = 'v' then pg_get_viewdef(relation.oid) end,
                 (select concat_ws(' ', 'start', seqstart, 'increment', seqincrement, 'from', seqmin, 'to', seqmax,
                                   'cache', seqcache, case when seqcycle then 'cycle' end)
                    from pg_sequence where seqrelid = relation.oid),
                 obj_description(relation.oid, 'pg_class'))
  from relation where relkind <> 'c'
union all
select 'column', concat(relname, '.', attname),
       concat_ws(' ', row_number() over (partition by attrelid order by attnum), format_type(atttypid, atttypmod),
                 case when attnotnull then 'not null' end, nullif(attidentity, ''), nullif(attgenerated, ''),
                 pg_get_expr(adbin, adrelid), array(select item::text from unnest(attacl) item order by 1), col_description(attrelid, attnum))
  from relation
  join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
  left join pg_attrdef on adrelid = attrelid and adnum = attnum
 where relkind in ('r', 'p', 'v', 'c')
union all
select 'constraint', concat(relname, '.', conname),
       concat_ws(' ', pg_get_constraintdef(con.oid), obj_description(con.oid, 'pg_constraint'))
  from relation join pg_constraint con on con.conrelid = relation.oid where contype <> 'n'
union all
select 'index', concat(relname, ' definition'),
       concat_ws(' ', pg_get_indexdef(indexrelid, 0, true), case when indisclustered then 'clustered' end,
                 case when not indisvalid then 'invalid' end)
  from relation join pg_index on indexrelid = relation.oid
union all
select 'policy', concat(relname, '.', polname),
       concat_ws(' ', polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
  from relation join pg_policy on polrelid = relation.oid
union all
select 'trigger', concat(relname, '.', tgname), concat_ws(' ', tgenabled, pg_get_triggerdef(trigger.oid, true))
  from relation join pg_trigger trigger on tgrelid = relation.oid where not tgisinternal
union all
select 'rule', concat(relname, '.', rulename), pg_get_ruledef(rewrite.oid, true)
  from relation join pg_rewrite rewrite on ev_class = relation.oid where rulename <> '_RETURN'
union all
select 'function', proc.oid::regprocedure::text,
       concat_ws(' ', pg_get_userbyid(proowner), array(select item::text from unnest(proacl) item order by 1), prosecdef, proconfig, provolatile, proparallel, proisstrict,
                 proleakproof, pg_get_function_arguments(proc.oid), pg_get_function_result(proc.oid), prosrc,
                 pg_get_function_sqlbody(proc.oid))
  from pg_proc proc join place on place.oid = pronamespace
union all
select 'type', type.oid::regtype::text,
       concat_ws(' ', pg_get_userbyid(typowner), array(select item::text from unnest(typacl) item order by 1), typnotnull, typdefault,
                 case when typbasetype <> 0 then format_type(typbasetype, typtypmod) end,
                 (select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = type.oid),
                 (select string_agg(pg_get_constraintdef(oid), ', ' order by conname) from pg_constraint where contypid = type.oid))
  from pg_type type join place on place.oid = typnamespace
 where typtype in ('e', 'd', 'r', 'c') and (typrelid = 0 or exists (select from relation where relation.oid = typrelid and relkind = 'c'))
union all
select 'statistics', stxname, pg_get_statisticsobjdef(pg_statistic_ext.oid)
  from pg_statistic_ext join place on place.oid = stxnamespace
