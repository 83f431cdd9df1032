import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'

const UNOWNED = `
  select sequence.relname::text as sequence, min(class.relname::text) as table, min(attname::text) as column
    from pg_depend as use
    join pg_class as sequence on sequence.oid = use.refobjid and sequence.relkind = 'S'
    join pg_attrdef on pg_attrdef.oid = use.objid
    join pg_class as class on class.oid = adrelid and class.relnamespace = sequence.relnamespace
                          and class.relkind in ('r', 'p') and not class.relispartition
    join pg_attribute on attrelid = adrelid and attnum = adnum
   where use.classid = 'pg_attrdef'::regclass and use.refclassid = 'pg_class'::regclass
     and sequence.relnamespace = $1::regnamespace
     and not exists (select from pg_depend as owning
                      where owning.classid = 'pg_class'::regclass and owning.objid = sequence.oid
                        and owning.refclassid = 'pg_class'::regclass and owning.deptype in ('a', 'i'))
   group by sequence.oid, sequence.relname
  having count(*) = 1 and bool_and(attnotnull)`

/**
 * Gives a sequence that one column alone counts with to that column, as serial would have: older dumps and hand-written
 * scripts leave OWNED BY out. It becomes the column's identity then.
 */
export async function ownSequences(client: pg.ClientBase, schema: string): Promise<void> {
  const { rows } = await client.query<{ sequence: string; table: string; column: string }>(UNOWNED, [
    quoteIdentifier(schema),
  ])
  const statements = rows.map(
    ({ sequence, table, column }) =>
      `alter sequence ${quoteQualified(schema, sequence)} owned by ${quoteQualified(schema, table)}.${quoteIdentifier(column)}`,
  )
  if (statements.length > 0) await client.query(statements.join('; '))
}
