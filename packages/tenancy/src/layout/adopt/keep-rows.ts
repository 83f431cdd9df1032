import { quoteIdentifier, quoteLiteral } from '../../identifiers.ts'

// Ways to give up what is refused of a table and keep its rows. Each is one statement for an administrator; where PostgreSQL
// cannot do it, because something depends on what is given up, that is dropped.

/** A table by itself, with its own rows; views that show those of its children with them are dropped. */
export function separateTable(table: string): string {
  const relation = `${quoteLiteral(table)}::pg_catalog.regclass`
  return `do $$
    declare link record; shown record;
    begin
      for link in select inhrelid::regclass as child, inhparent as parent from pg_inherits
                   where inhrelid = ${relation} or inhparent = ${relation} loop
        for shown in select distinct class.oid::regclass as name from pg_depend
                       join pg_rewrite as rewrite on rewrite.oid = objid join pg_class as class on class.oid = ev_class
                      where classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass
                        and refobjid = link.parent and class.relkind = 'v' loop
          execute format('drop view if exists %s cascade', shown.name);
        end loop;
        execute format('alter table %s no inherit %s', link.child, link.parent::regclass);
      end loop;
    end $$`
}

/** Columns keep their values, in the order of the database; what cannot go on without it is dropped with it. */
export function withoutCollation(collation: string): string {
  const used = `${quoteLiteral(collation)}::pg_catalog.regcollation`
  return `do $$
    declare sorted record;
    begin
      for sorted in select attrelid::regclass as relation, attname as name, format_type(atttypid, atttypmod) as type
                      from pg_attribute join pg_class as class on class.oid = attrelid
                     where attcollation = ${used} and not attisdropped and attnum > 0
                       and relkind in ('r', 'p') and not relispartition loop
        begin
          execute format('alter table %s alter column %I type %s collate pg_catalog."default"',
                         sorted.relation, sorted.name, sorted.type);
        exception when feature_not_supported or invalid_table_definition then
          raise notice 'a view or a partition key holds % of %', sorted.name, sorted.relation;
        end;
      end loop;
    end $$;
    drop collation ${collation} cascade`
}

/** A column keeps what its values say: a number where it is one in the other database too, otherwise a text. */
export function withoutType(table: string, column: string): string {
  const [quotedTable, quotedColumn] = [quoteLiteral(table), quoteLiteral(column)]
  return `do $$
    declare kept text;
    begin
      select case when format_type(type.oid, null) in ('oid', 'xid', 'cid', 'oid[]', 'xid[]', 'cid[]') then 'bigint' else 'text' end
             -- An oidvector is written without braces.
             || case when typcategory = 'A' and typname <> 'oidvector' then '[]' else '' end into kept
        from pg_attribute join pg_type as type on type.oid = atttypid
       where attrelid = ${quotedTable}::regclass and attname = ${quotedColumn};
      execute format('alter table %1$s alter column %2$I type %3$s using %2$I::text::%3$s', ${quotedTable}, ${quotedColumn}, kept);
    exception when feature_not_supported or invalid_table_definition or datatype_mismatch or undefined_function or undefined_object then
      alter table ${table} drop column ${quoteIdentifier(column)} cascade;
    end $$`
}

/** Stored columns that are generated with what is given up keep the values they have. */
export function withoutExpressions(address: { readonly catalog: number; readonly object: number }): string {
  return `do $$
    declare made record;
    begin
      for made in select attrelid::regclass as relation, attname as name
                    from pg_depend join pg_attrdef on classid = 'pg_attrdef'::regclass and pg_attrdef.oid = objid
                    join pg_attribute on attrelid = adrelid and attnum = adnum
                   where refclassid = ${address.catalog} and refobjid = ${address.object}
                     and attgenerated = 's' and attinhcount = 0 loop
        execute format('alter table %s alter column %I drop expression', made.relation, made.name);
      end loop;
    end $$`
}
