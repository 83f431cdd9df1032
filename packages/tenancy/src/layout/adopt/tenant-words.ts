import { loadModule, type ScanToken, scanSync } from 'libpg-query'
import type pg from 'pg'
import { quoteIdentifier } from '../../identifiers.ts'
import { TENANT_COLUMN } from '../shape.ts'
import type { Renamed } from './move.ts'

interface Routine {
  readonly schema: string
  readonly object: string
  readonly source: string
  readonly definition: string
}

/** A parameter of that name may be meant where the word stands: such a body is left alone. */
const ROUTINES = `
  select nspname::text as schema, format('%s(%s)', proname, pg_get_function_identity_arguments(proc.oid)) as object,
         prosrc as source, pg_get_functiondef(proc.oid) as definition
    from pg_proc as proc
    join pg_namespace on pg_namespace.oid = pronamespace join pg_language as language on language.oid = prolang
   where nspname = any ($1) and prokind <> 'a' and prosqlbody is null and lanname in ('sql', 'plpgsql')
     and strpos(prosrc, '${TENANT_COLUMN}') > 0 and not '${TENANT_COLUMN}' = any (coalesce(proargnames, '{}'))
     and not exists (select from pg_depend
                      where classid = 'pg_proc'::regclass and objid = proc.oid and deptype = 'e')
   order by nspname, 2`

/** Has the bodies of functions follow columns that are called `to` now. Text of which a body makes SQL stays as it is. */
export async function renameInRoutines(
  client: pg.ClientBase,
  schemas: readonly string[],
  to: string,
): Promise<Renamed[]> {
  const { rows } = await client.query<Routine>(ROUTINES, [schemas])
  if (rows.length === 0) return []
  const renamed: Renamed[] = []
  await loadModule()
  await client.query('set check_function_bodies = off')
  for (const { schema, object, source, definition } of rows) {
    const body = withWord(source, to)
    if (body === source) continue
    const at = definition.lastIndexOf(source)
    await client.query(`${definition.slice(0, at)}${body}${definition.slice(at + source.length)}`)
    renamed.push({ kind: 'column in function', schema, name: `${object}: ${TENANT_COLUMN}`, to })
  }
  await client.query('reset check_function_bodies')
  return renamed
}

function withWord(source: string, to: string): string {
  const bytes = Buffer.from(source)
  const parts: Buffer[] = []
  let done = 0
  for (const { start, end, tokenName } of tokensOf(source)) {
    const word = bytes.subarray(start, end).toString()
    if (tokenName !== 'IDENT' || word.replace(/^"(.*)"$/, '$1').toLowerCase() !== TENANT_COLUMN) continue
    parts.push(bytes.subarray(done, start), Buffer.from(quoteIdentifier(to)))
    done = end
  }
  return Buffer.concat([...parts, bytes.subarray(done)]).toString()
}

/** None for what the scanner cannot read: such a body stays as it is. */
function tokensOf(source: string): readonly ScanToken[] {
  try {
    return scanSync(source).tokens
  } catch {
    return []
  }
}
