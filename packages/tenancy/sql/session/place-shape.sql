-- What rewriting must know of schema $1: its tables and views with their columns, the keys on which GROUP BY may rely
-- (PostgreSQL does so for primary keys that are not deferrable), the columns that an index can find by a prefix if a
-- policy would not keep LIKE from it, those in which it can search, and which names are aggregate functions.
select json_build_object(
  'tables', (
    select coalesce(json_object_agg(class.relname, json_build_object(
             'columns', (select json_agg(attname order by attnum) from pg_attribute
                          where attrelid = class.oid and attnum > 0 and not attisdropped),
             'key', (select coalesce(json_agg(attname order by attnum), '[]')
                       from pg_constraint
                       join pg_attribute on attrelid = conrelid and attnum = any (conkey)
                      where conrelid = class.oid and contype = 'p' and not condeferrable),
             'prefixes', (select coalesce(json_agg(distinct attname), '[]') from (
               select attname
                 from pg_index as index
                 join pg_class as named on named.oid = indexrelid
                 join pg_am on pg_am.oid = named.relam and amname = 'btree'
                -- Behind tenant_id, for which the policy has a value.
                cross join lateral (
                  select case when attname = 'tenant_id' then 1 else 0 end as at
                    from pg_attribute where attrelid = indrelid and attnum = indkey[0]
                ) as first
                 join pg_attribute as searched on searched.attrelid = indrelid and searched.attnum = indkey[first.at]
                 join pg_opclass on pg_opclass.oid = indclass[first.at]
                 join pg_collation as collated on collated.oid = indcollation[first.at]
                 join pg_database as database on datname = current_database()
                cross join lateral (
                  select case when collprovider = 'd' then datlocprovider else collprovider end as provider,
                         case when collprovider = 'd' then datcollate else collcollate end as locale
                ) as sorted
                where indrelid = class.oid and indisvalid and searched.atttypid in ('text'::regtype, 'varchar'::regtype)
                  -- Of a nondeterministic collation, equal texts may begin differently.
                  and (select collisdeterministic from pg_collation where oid = searched.attcollation)
                  and (opcname in ('text_pattern_ops', 'varchar_pattern_ops')
                       or opcname in ('text_ops', 'varchar_ops')
                          and (provider = 'b' or provider = 'c' and locale in ('C', 'POSIX')))
                  and exists (select from pg_policy where polrelid = indrelid
                                and pg_get_expr(polqual, polrelid) <> 'quickscale.gate()')
                  and has_function_privilege(to_regprocedure('quickscale.like_prefix(text)'), 'execute')
             ) as helped),
             'words', coalesce(searches.words, '[]'),
             'documents', coalesce(searches.documents, '[]'),
             'trigrams', coalesce(searches.trigrams, '[]')
           ) order by class.relname), '{}')
      from pg_class as class
     -- Those in an index whose family has the operators of sql/tenant-database/0009_search_hints.sql and the next file.
     left join (
       select indrelid,
              json_agg(distinct attname) filter (where oprname = '@@') as words,
              json_agg(distinct attname) filter (where oprname = '@>') as documents,
              json_agg(distinct attname) filter (where oprname = '~~') as trigrams
         from pg_index
        cross join lateral unnest(indkey, indclass) as part (number, class)
         join pg_attribute on attrelid = indrelid and attnum = part.number
         join pg_opclass on pg_opclass.oid = part.class
         join pg_amop on amopfamily = opcfamily and amoplefttype = opcintype
         join pg_operator on pg_operator.oid = amopopr and oprnamespace = to_regnamespace('quickscale')
        where indisvalid
          and exists (select from pg_policy where polrelid = indrelid
                         and pg_get_expr(polqual, polrelid) <> 'quickscale.gate()')
        group by indrelid
     ) as searches on searches.indrelid = class.oid
     where class.relnamespace = (select oid from pg_namespace where nspname = $1) and class.relkind in ('r', 'p', 'v')
       and exists (select from pg_attribute where attrelid = class.oid and attnum > 0 and not attisdropped)
  ),
  'aggregates', (
    select json_agg(proname order by proname)
      from (select proname from pg_proc group by proname having bool_and(prokind = 'a')) as named
  )
)::text as shape
