import pg from 'pg'
import { quoteIdentifier } from '../../identifiers.ts'
import { closeFunctions } from '../extensions.ts'
import { EXTENSION_REMEDY, EXTENSIONS_SCHEMA, extensionObjection } from '../reviewed-extensions.ts'
import type { LayoutRefusal } from '../shape.ts'

/** SET SCHEMA is not supported by it; its objects are somewhere else already. */
const IMMOVABLE = new Set(['0A000', '55000'])

/**
 * Moves extensions to the schema for extensions, where several places can use them. What cannot be moved, or keeps
 * tenants not apart, is dropped, with the columns and objects in `from` that use it.
 *
 * @returns one refusal for each extension that was dropped, and for each column and relation that it took along
 */
export async function moveExtensions(
  client: pg.ClientBase,
  from: readonly string[],
): Promise<LayoutRefusal[]> {
  const { rows } = await client.query<{ name: string }>(
    `select extname::text as name from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
      where extname <> 'plpgsql' and nspname <> $1 order by pg_extension.oid`,
    [EXTENSIONS_SCHEMA],
  )
  const refused: LayoutRefusal[] = []
  for (const { name } of rows) {
    const objection = extensionObjection(name)
    if (objection === null && (await tryToMove(client, name))) continue
    const before = await usersOf(client, from)
    // Another one may have taken it along.
    await client.query(`drop extension if exists ${quoteIdentifier(name)} cascade`)
    const after = new Set((await usersOf(client, from)).map(({ object }) => object))
    const refusal = {
      kind: 'extension',
      object: name,
      reason: objection ?? `it cannot be moved to the schema ${EXTENSIONS_SCHEMA}`,
      remedy: EXTENSION_REMEDY,
    }
    const lost = before.filter(({ object }) => !after.has(object))
    refused.push(refusal)
    refused.push(...lost.map((item) => ({ ...refusal, ...item, reason: `it depends on extension ${name}` })))
  }
  return refused
}

async function tryToMove(client: pg.ClientBase, name: string): Promise<boolean> {
  await client.query('savepoint quickscale_extension')
  try {
    await client.query(`alter extension ${quoteIdentifier(name)} set schema ${EXTENSIONS_SCHEMA}`)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && IMMOVABLE.has(error.code ?? ''))) throw error
    await client.query('rollback to savepoint quickscale_extension')
    return false
  }
  await client.query('release savepoint quickscale_extension')
  await closeFunctions(client, name)
  return true
}

/** Relations and columns, by the names that refusals use. */
async function usersOf(
  client: pg.ClientBase,
  from: readonly string[],
): Promise<{ kind: string; object: string }[]> {
  const { rows } = await client.query<{ kind: string; object: string }>(
    `with relation as (
       select pg_class.oid, relname, relkind from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = any($1) and relkind in ('r', 'p', 'v', 'm', 'i')
          and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
     )
     select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'i' then 'index' else 'table' end as kind,
            relname::text as object from relation
     union all
     select 'column', concat(relname, '.', attname)
       from relation join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
      where relkind in ('r', 'p')`,
    [from],
  )
  return rows
}
