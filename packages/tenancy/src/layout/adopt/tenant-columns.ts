import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { TENANT_COLUMN } from '../shape.ts'
import type { Renamed } from './move.ts'
import { renameInRoutines } from './tenant-words.ts'

const TABLES = `
  select nspname::text as schema, relname::text as name,
         (select array_agg(attname::text) from pg_attribute where attrelid = class.oid) as columns
    from pg_class as class join pg_namespace on pg_namespace.oid = relnamespace
   where nspname = any ($1) and relkind in ('r', 'p') and reloftype = 0
     and exists (select from pg_attribute
                  where attrelid = class.oid and attname = '${TENANT_COLUMN}' and attinhcount = 0)
     and not exists (select from pg_depend
                      where classid = 'pg_class'::regclass and objid = class.oid and deptype = 'e')
   order by nspname, relname`

/**
 * Gives columns that are called as the layout's own another name, `own_tenant_id`: a database in which somebody has
 * kept tenants apart before. What depends on them follows, the bodies of functions too, unless columns got different names.
 *
 * @param client a superuser's connection to the database
 * @example const renamed = await renameTenantColumns(client, ['public'])
 */
export async function renameTenantColumns(
  client: pg.ClientBase,
  schemas: readonly string[],
): Promise<Renamed[]> {
  const { rows } = await client.query<{ schema: string; name: string; columns: string[] }>(TABLES, [schemas])
  const renamed: Renamed[] = []
  for (const { schema, name, columns } of rows) {
    const to = freeName(columns)
    await client.query(
      `alter table ${quoteQualified(schema, name)} rename column ${TENANT_COLUMN} to ${quoteIdentifier(to)}`,
    )
    renamed.push({ kind: 'column', schema, name: `${name}.${TENANT_COLUMN}`, to })
  }
  const [to, another] = new Set(renamed.map((column) => column.to))
  if (to !== undefined && another === undefined) {
    renamed.push(...(await renameInRoutines(client, schemas, to)))
  }
  return renamed
}

function freeName(columns: readonly string[]): string {
  const name = (number: number) => `own_${TENANT_COLUMN}${number === 1 ? '' : `_${number}`}`
  let number = 1
  while (columns.includes(name(number))) number += 1
  return name(number)
}
