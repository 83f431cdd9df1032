import type pg from 'pg'
import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'
import { asAdministrator } from './migrator.ts'
import { EXTENSIONS_SCHEMA, reviewedExtensions } from './reviewed-extensions.ts'

const schema = quoteIdentifier(EXTENSIONS_SCHEMA)

/**
 * Makes an extension in the schema for extensions, or moves it there, and closes those of its functions that reach past
 * a tenant. Does nothing where that is so already.
 *
 * @param client an administrator's connection, as itself
 * @param name one of {@link reviewedExtensions}
 */
export async function ensureExtension(client: pg.ClientBase, name: string): Promise<void> {
  const { rows } = await client.query<{ schema: string }>(
    `select nspname as schema from pg_catalog.pg_extension
       join pg_catalog.pg_namespace on pg_namespace.oid = extnamespace where extname = $1`,
    [name],
  )
  const extension = quoteIdentifier(name)
  if (rows[0] === undefined) await client.query(`create extension ${extension} schema ${schema} cascade`)
  else if (rows[0].schema !== EXTENSIONS_SCHEMA)
    await client.query(`alter extension ${extension} set schema ${schema}`)
  await closeFunctions(client, name)
  if (name === 'pg_trgm') await client.query('select quickscale.hint_trigrams()')
}

/** Makes the extensions that let tenant_id into an index, in the middle of work as quickscale_migrator. */
export async function ensureHelpers(client: pg.ClientBase, names: Iterable<string>): Promise<void> {
  for (const name of names) await asAdministrator(client, () => ensureExtension(client, name))
}

/** Takes from everybody what the review of an extension in the schema for extensions closes. */
export async function closeFunctions(client: pg.ClientBase, name: string): Promise<void> {
  for (const signature of reviewedExtensions[name]?.closed ?? []) {
    const { rows } = await client.query<{ open: boolean }>(
      `select coalesce(pg_catalog.has_function_privilege('public', pg_catalog.to_regprocedure(${quoteLiteral(`${EXTENSIONS_SCHEMA}.${signature}`)}), 'execute'), false) as open`,
    )
    if (rows[0]?.open) await client.query(`revoke execute on function ${schema}.${signature} from public`)
  }
}
