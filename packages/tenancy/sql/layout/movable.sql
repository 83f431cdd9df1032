-- What lies directly in the schemas $1 and can be moved by itself: no extension and nothing of one, and
-- not a sequence that a column owns or what was made along with a type, which move with these. Runs under search_path = pg_catalog.
with source as (
  select oid, nspname, rank from unnest($1::text[]) with ordinality as wanted (name, rank)
    join pg_namespace on nspname = wanted.name
)
select source.nspname as schema, found.type as kind, found.identity,
       coalesce(class.relname, type.typname, proc.proname, found.name)::text as name,
       case depend.classid when 'pg_proc'::regclass then proc.proargtypes::text end as arguments,
       case when class.oid is not null then array(
         select index_class.relname::text
           from pg_index join pg_class index_class on index_class.oid = indexrelid
          where indrelid = class.oid)
       else '{}' end as indexes,
       case when class.oid is not null then array(
         select sequence.relname::text
           from pg_depend owning join pg_class sequence on sequence.oid = owning.objid and sequence.relkind = 'S'
          where owning.classid = 'pg_class'::regclass and owning.refclassid = 'pg_class'::regclass
            and owning.refobjid = class.oid and owning.deptype in ('a', 'i'))
       else '{}' end as sequences
  from source
  join pg_depend depend on depend.refclassid = 'pg_namespace'::regclass and depend.refobjid = source.oid
  cross join lateral pg_identify_object(depend.classid, depend.objid, 0) as found
  left join pg_class class on depend.classid = 'pg_class'::regclass and class.oid = depend.objid
  left join pg_type type on depend.classid = 'pg_type'::regclass and type.oid = depend.objid
  left join pg_proc proc on depend.classid = 'pg_proc'::regclass and proc.oid = depend.objid
 where depend.classid <> 'pg_extension'::regclass
   and not exists (
         select from pg_depend extension
          where extension.classid = depend.classid and extension.objid = depend.objid and extension.deptype = 'e')
   and not exists (
         select from pg_depend owning
          where class.relkind = 'S' and owning.classid = depend.classid and owning.objid = depend.objid
            and owning.refclassid = 'pg_class'::regclass and owning.deptype in ('a', 'i'))
   and not exists (
         select from pg_depend along
          where along.classid = depend.classid and along.objid = depend.objid
            and along.refclassid = 'pg_type'::regclass and along.deptype = 'i')
 order by source.rank, found.type, found.identity
