-- What schemas $1 promise, as one row of JSON; asked of the original and of each place, and compared. Runs with these
-- schemas as search_path, so that their names are printed unqualified on both sides.
with source as (
  select oid, nspname from pg_namespace where nspname = any($1::text[])
),
relation as (
  select class.oid, source.nspname as schema, class.relname as name, class.relkind as kind
    from source join pg_class class on class.relnamespace = source.oid
   where class.relkind in ('r', 'p', 'v') and not class.relispartition and class.relpersistence <> 't'
     and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = class.oid and deptype = 'e')
)
select
  (select coalesce(json_agg(json_build_object(
            'schema', relation.schema, 'name', relation.name, 'kind', relation.kind,
            'columns', (
              select coalesce(json_agg(json_build_object(
                       'name', attribute.attname, 'type', format_type(attribute.atttypid, attribute.atttypmod),
                       'notNull', attribute.attnotnull, 'identity', attribute.attidentity,
                       'generated', attribute.attgenerated,
                       'default', pg_get_expr(attrdef.adbin, attrdef.adrelid)) order by attribute.attnum), '[]')
                from pg_attribute attribute
                left join pg_attrdef attrdef on attrdef.adrelid = attribute.attrelid and attrdef.adnum = attribute.attnum
               where attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped)
            ) order by relation.schema, relation.name), '[]') from relation) as relations,

  (select coalesce(json_agg(json_build_object(
            'schema', relation.schema, 'table', relation.name, 'name', con.conname, 'type', con.contype,
            'columns', (select coalesce(json_agg(attname order by position), '[]')
                          from unnest(con.conkey) with ordinality as key (number, position)
                          join pg_attribute on attrelid = con.conrelid and attnum = key.number),
            'expressions', coalesce(0 = any(con.conkey), false),
            'parentSchema', parent_schema.nspname, 'parent', parent.relname,
            'parentColumns', (select coalesce(json_agg(attname order by position), '[]')
                                from unnest(con.confkey) with ordinality as key (number, position)
                                join pg_attribute on attrelid = con.confrelid and attnum = key.number),
            'onUpdate', con.confupdtype, 'onDelete', con.confdeltype,
            'deferrable', con.condeferrable, 'deferred', con.condeferred, 'validated', con.convalidated,
            'enforced', coalesce((to_jsonb(con) ->> 'conenforced')::boolean, true),
            'period', coalesce((to_jsonb(con) ->> 'conperiod')::boolean, false),
            'expression', pg_get_expr(con.conbin, con.conrelid)) order by relation.schema, relation.name, con.conname), '[]')
     from relation
     join pg_constraint con on con.conrelid = relation.oid and con.contype in ('p', 'u', 'f', 'c', 'x')
          -- A key that refers to a partitioned table has one more for each partition.
          and (con.contype <> 'f' or con.conparentid = 0)
     left join pg_class parent on parent.oid = con.confrelid
     left join pg_namespace parent_schema on parent_schema.oid = parent.relnamespace) as constraints,

  (select coalesce(json_agg(json_build_object(
            'schema', relation.schema, 'table', relation.name, 'name', class.relname, 'method', am.amname,
            'unique', index.indisunique, 'valid', index.indisvalid and index.indisready,
            'nullsNotDistinct', index.indnullsnotdistinct,
            'predicate', pg_get_expr(index.indpred, index.indrelid),
            'keys', (select coalesce(json_agg(pg_get_indexdef(index.indexrelid, n, true) order by n), '[]')
                       from generate_series(1, index.indnkeyatts) n),
            'include', (select coalesce(json_agg(pg_get_indexdef(index.indexrelid, n, true) order by n), '[]')
                          from generate_series(index.indnkeyatts + 1, index.indnatts) n),
            'operators', (
              select coalesce(json_agg(json_build_object(
                       'name', operator.oprname,
                       'operand', case when operand.typtype = 'p' then null else format_type(operand.oid, null) end,
                       'written', format('operator(%I.%s)', operator_schema.nspname, operator.oprname),
                       'leading', pg_get_indexdef(index.indexrelid, first.position + 1, true),
                       'leadingType', format_type(attribute.atttypid, null)) order by amop.amopstrategy), '[]')
                from (select min(n) as position from generate_series(0, index.indnkeyatts - 1) n
                       where not exists (select from pg_attribute
                                          where attrelid = index.indrelid and attnum = index.indkey[n]
                                            and attname = 'tenant_id' and $2)) first
                join pg_opclass opclass on opclass.oid = index.indclass[first.position]
                join pg_attribute attribute on attribute.attrelid = index.indexrelid and attribute.attnum = first.position + 1
                join pg_amop amop on amop.amopfamily = opclass.opcfamily and amop.amoppurpose = 's'
                                 and amop.amoplefttype = opclass.opcintype
                                 and (am.amname not in ('btree', 'hash') or amop.amoprighttype = opclass.opcintype)
                join pg_type operand on operand.oid = amop.amoprighttype
                join pg_operator operator on operator.oid = amop.amopopr
                join pg_namespace operator_schema on operator_schema.oid = operator.oprnamespace)
            ) order by relation.schema, relation.name, class.relname), '[]')
     from relation
     join pg_index index on index.indrelid = relation.oid
     join pg_class class on class.oid = index.indexrelid
     join pg_am am on am.oid = class.relam) as indexes,

  (select coalesce(json_agg(json_build_object(
            'schema', relation.schema, 'table', relation.name, 'column', attribute.attname,
            'sequence', sequence.seqrelid::regclass::text,
            'parameters', concat_ws(' ', sequence.seqstart, sequence.seqincrement, sequence.seqmin, sequence.seqmax,
                                    sequence.seqcache, sequence.seqcycle)) order by relation.schema, relation.name, attribute.attname), '[]')
     from relation
     join pg_depend owning on owning.refclassid = 'pg_class'::regclass and owning.refobjid = relation.oid
          and owning.classid = 'pg_class'::regclass and owning.deptype in ('a', 'i') and owning.refobjsubid > 0
     join pg_sequence sequence on sequence.seqrelid = owning.objid
     join pg_attribute attribute on attribute.attrelid = relation.oid and attribute.attnum = owning.refobjsubid) as sequences
