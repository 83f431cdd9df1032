import type pg from 'pg'
import { quoteIdentifier } from '../../identifiers.ts'
import { RESERVED_PREFIX } from '../shape.ts'

const CONSTRAINTS = `
  select nspname::text as schema, con.conrelid::regclass::text as on, con.conname::text as name
    from pg_constraint as con
    join pg_namespace on pg_namespace.oid = con.connamespace
   where nspname = any ($1) and con.conrelid <> 0 and con.coninhcount = 0
     and con.contype in ('c', 'f', 'n') and starts_with(con.conname, '${RESERVED_PREFIX}')
   order by 1, 2, 3`

/** What is called like the layout's own is called this. */
export function unreserved(name: string): string {
  return name.startsWith(RESERVED_PREFIX) ? `own_${name}` : name
}

/**
 * Gives constraints without an index names that are not the layout's own: those of a table called quickscale_… are named after
 * it. Keys have the names of their indexes.
 *
 * @param client in a transaction, under a search_path that makes PostgreSQL print every name qualified
 */
export async function renameReservedConstraints(client: pg.ClientBase, schemas: readonly string[]) {
  const { rows } = await client.query<{ schema: string; on: string; name: string }>(CONSTRAINTS, [schemas])
  const statements = rows.map(
    ({ on, name }) =>
      `alter table ${on} rename constraint ${quoteIdentifier(name)} to ${quoteIdentifier(unreserved(name))}`,
  )
  if (statements.length > 0) await client.query(statements.join('; '))
  return rows.map(({ schema, name }) => ({ kind: 'constraint', schema, name, to: unreserved(name) }))
}
