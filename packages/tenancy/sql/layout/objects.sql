-- Everything that adoption may have to drop from schema $1, one row each, with PostgreSQL's own kind and identity and
-- with the short names that refusals use. Runs under search_path = pg_catalog, so that identities are qualified.
with place as (
  select oid from pg_namespace where nspname = $1
),
member as (
  select distinct depend.classid, depend.objid
    from place join pg_depend depend on depend.refclassid = 'pg_namespace'::regclass and depend.refobjid = place.oid
),
relation as (
  select class.oid, class.relname, class.relkind
    from member join pg_class class on member.classid = 'pg_class'::regclass and class.oid = member.objid
),
object as (
  select member.classid, member.objid, 0 as number, relation.relname::text as short, null::text as relation, null::text as part
    from member left join relation on member.classid = 'pg_class'::regclass and relation.oid = member.objid
  union all
  select 'pg_class'::regclass, relation.oid, attribute.attnum, concat(relation.relname, '.', attribute.attname),
         relation.relname, attribute.attname
    from relation join pg_attribute attribute on attribute.attrelid = relation.oid
   where relation.relkind in ('r', 'p') and attribute.attnum > 0 and not attribute.attisdropped
  union all
  select 'pg_attrdef'::regclass, attrdef.oid, 0, concat(relation.relname, '.', attribute.attname),
         relation.relname, attribute.attname
    from relation
    join pg_attrdef attrdef on attrdef.adrelid = relation.oid
    join pg_attribute attribute on attribute.attrelid = attrdef.adrelid and attribute.attnum = attrdef.adnum
  union all
  select 'pg_constraint'::regclass, con.oid, 0, concat(relation.relname, '.', con.conname), relation.relname, con.conname
    from relation join pg_constraint con on con.conrelid = relation.oid
   where con.contype in ('c', 'f', 'p', 'u', 'x')
  union all
  select 'pg_class'::regclass, class.oid, 0, class.relname, relation.relname, class.relname
    from relation
    join pg_index index on index.indrelid = relation.oid
    join pg_class class on class.oid = index.indexrelid
   where not exists (select from pg_constraint where conindid = index.indexrelid and contype in ('p', 'u', 'x'))
  union all
  select 'pg_trigger'::regclass, trigger.oid, 0, concat(relation.relname, '.', trigger.tgname), relation.relname, trigger.tgname
    from relation join pg_trigger trigger on trigger.tgrelid = relation.oid
   where not trigger.tgisinternal
  union all
  select 'pg_rewrite'::regclass, rewrite.oid, 0, concat(relation.relname, '.', rewrite.rulename), relation.relname, rewrite.rulename
    from relation join pg_rewrite rewrite on rewrite.ev_class = relation.oid
   where rewrite.rulename <> '_RETURN'
  union all
  select 'pg_policy'::regclass, policy.oid, 0, concat(relation.relname, '.', policy.polname), relation.relname, policy.polname
    from relation join pg_policy policy on policy.polrelid = relation.oid
  union all
  select 'pg_cast'::regclass, oid, 0, null, null, null from pg_cast where oid >= 16384
  union all
  select 'pg_extension'::regclass, oid, 0, extname, null, null from pg_extension where oid >= 16384
)
select concat(object.classid::oid, ' ', object.objid, ' ', object.number) as address,
       found.type as kind, found.identity, object.short, object.relation, object.part
  from object cross join lateral pg_identify_object(object.classid, object.objid, object.number) as found
