-- Checks of schema $1 that its rows need not pass: those NOT VALID, and those that ask functions of the schema, which read as
-- a tenant. Of each, what takes it away, puts it back, and says of it what was said. A partition's own comes after its parent's.
-- Runs under search_path = pg_catalog, so that everything is printed qualified.
select format('alter %s drop constraint %I', owner, conname) as drop,
       format('alter %s add constraint %I %s%s', owner, conname, pg_get_constraintdef(con.oid),
              case when con.convalidated then ' not valid' else '' end) as add,
       (select format('comment on constraint %I on %s is %L', conname, case when conrelid = 0 then owner else conrelid::regclass::text end, description)
          from pg_description where classoid = 'pg_constraint'::regclass and objoid = con.oid) as comment,
       conname::text as name, conrelid::oid as relation, contypid::oid as domain, con.convalidated as validated
  from pg_constraint con
  join pg_namespace on pg_namespace.oid = connamespace
 cross join lateral (
       select case when conrelid = 0 then concat('domain ', contypid::regtype) else concat('table ', conrelid::regclass) end
       ) as named (owner)
 where nspname = $1 and contype in ('c', 'n') and conislocal
   and coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true)
   and (not convalidated
        or exists (select from pg_depend join pg_proc on refclassid = 'pg_proc'::regclass and pg_proc.oid = refobjid
                    where classid = 'pg_constraint'::regclass and objid = con.oid and pronamespace = connamespace))
 order by (select count(*) from pg_partition_ancestors(conrelid)), conrelid, contypid, conname
