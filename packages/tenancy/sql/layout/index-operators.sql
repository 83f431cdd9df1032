-- The search operators of every index in schema $1, for its first column that is not tenant_id: the only ones that
-- could become a condition on the index. An operator, or a function in an indexed expression, that is not LEAKPROOF
-- is evaluated after the policy, and so never inside the index.
select class.relname as index, owner.relname as table, am.amname as method,
       operator.oprname as operator,
       format_type(amop.amoprighttype, null) as operand,
       proc.proleakproof as leakproof,
       -- The functions of sql/tenant-database/0008_leakproof.sql.
       proc.pronamespace = 'pg_catalog'::regnamespace and proc.proname in ('numeric_eq', 'numeric_ne', 'numeric_lt', 'numeric_le', 'numeric_gt', 'numeric_ge',
                                     'enum_eq', 'enum_ne', 'enum_lt', 'enum_le', 'enum_gt', 'enum_ge',
                                     'jsonb_exists', 'jsonb_exists_any', 'jsonb_exists_all') as reviewed,
       (select coalesce(array_agg(distinct name), '{}')
          from (select leaky.oid::regprocedure::text
                  from regexp_matches(index.indexprs::text, ':(?:funcid|opfuncid) (\d+) ', 'g') as used (ids)
                  join pg_proc leaky on leaky.oid = used.ids[1]::oid
                 where not leaky.proleakproof
                union all
                -- What is no function to look up, and yet not among what contain_leaked_vars() takes for safe.
                select case when tags[1] = 'COERCEVIAIO' then 'a cast by way of text' else 'COALESCE' end
                  from regexp_matches(index.indexprs::text, '\{(COALESCE|COALESCEEXPR|COERCEVIAIO) ', 'g') as used (tags)
               ) as leaky (name)) as "leakyFunctions"
  from pg_namespace place
  join pg_class owner on owner.relnamespace = place.oid
  join pg_index index on index.indrelid = owner.oid
  join pg_class class on class.oid = index.indexrelid
  join pg_am am on am.oid = class.relam
  cross join lateral (
    select min(n) as position from generate_series(0, index.indnkeyatts - 1) n
     where not exists (select from pg_attribute
                        where attrelid = index.indrelid and attnum = index.indkey[n] and attname = 'tenant_id')
  ) first
  join pg_opclass opclass on opclass.oid = index.indclass[first.position]
  join pg_amop amop on amop.amopfamily = opclass.opcfamily and amop.amoppurpose = 's'
                   and amop.amoplefttype = opclass.opcintype
                   and (am.amname not in ('btree', 'hash') or amop.amoprighttype = opclass.opcintype)
  join pg_operator operator on operator.oid = amop.amopopr
  join pg_proc proc on proc.oid = operator.oprcode
 where place.nspname = $1
   -- A @shared table has no policy.
   and owner.relrowsecurity
 order by class.relname, amop.amopstrategy
