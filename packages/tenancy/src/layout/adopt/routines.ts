import { loadModule, type ScanToken, scanSync } from 'libpg-query'
import type pg from 'pg'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Renamed } from './move.ts'

/** What adoption had to change in a function. */
export interface Altered {
  /** Name and argument types. */
  readonly object: string
  readonly change: string
}

interface Routine {
  readonly identity: string
  readonly object: string
  readonly source: string
  readonly definition: string
  readonly definer: boolean
  readonly returnsTrigger: boolean
}

const ROUTINES = `
  select proc.oid::regprocedure::text as identity,
         format('%s(%s)', proname, pg_get_function_identity_arguments(proc.oid)) as object,
         prosrc as source, pg_get_functiondef(proc.oid) as definition, prosecdef as definer,
         prorettype = 'trigger'::regtype as "returnsTrigger"
    from pg_proc as proc join pg_language as language on language.oid = prolang
   where pronamespace = $1::regnamespace and prokind <> 'a' and prosqlbody is null and lanname in ('sql', 'plpgsql')
   order by 2`

const NAMES = `
  select relname::text as name from pg_class where relnamespace = $1::regnamespace
   union select proname from pg_proc where pronamespace = $1::regnamespace
   union select typname from pg_type where typnamespace = $1::regnamespace`

/**
 * Adapts functions to the place: names of the schemas that were joined leave their bodies, because there is one schema now
 * and what two of them called the same has another name; and SECURITY DEFINER gives way to the rights of the caller, a
 * tenant, who may use every table of the place. What PostgreSQL prints by itself follows without help.
 *
 * @param client in a transaction, under a search_path that makes PostgreSQL print every name qualified
 */
export async function adaptRoutines(
  client: pg.ClientBase,
  { from, schema, renamed }: { from: readonly string[]; schema: string; renamed: readonly Renamed[] },
): Promise<Altered[]> {
  const place = [quoteIdentifier(schema)]
  const { rows: routines } = await client.query<Routine>(ROUTINES, place)
  if (routines.length === 0) return []
  const { rows: present } = await client.query<{ name: string }>(NAMES, place)
  const names = new Set(present.map(({ name }) => name))
  const newNames = new Map(renamed.map((item) => [`${item.schema} ${item.name}`, item.to]))
  const nameIn = (joined: string, name: string): string | undefined => {
    if (!from.includes(joined)) return undefined
    return newNames.get(`${joined} ${name}`) ?? (names.has(name) ? name : undefined)
  }
  const altered: Altered[] = []
  await loadModule()
  // What a body names may be adopted after it.
  await client.query('set local check_function_bodies = off')
  for (const { identity, object, source, definition, definer, returnsTrigger } of routines) {
    const body = withoutSchemas(source, nameIn)
    if (body !== source) {
      const at = definition.lastIndexOf(source)
      await client.query(`${definition.slice(0, at)}${body}${definition.slice(at + source.length)}`)
      altered.push({ object, change: 'names of schemas left its body' })
    }
    // A trigger's function is given to a role that policies bind.
    if (definer && !returnsTrigger) {
      await client.query(`alter routine ${identity} security invoker`)
      altered.push({ object, change: 'SECURITY DEFINER became SECURITY INVOKER' })
    }
  }
  await client.query('reset check_function_bodies')
  return altered
}

/** @param nameIn gives the name in the place of what a schema held; undefined for what is none of its objects */
function withoutSchemas(
  source: string,
  nameIn: (schema: string, name: string) => string | undefined,
): string {
  const bytes = Buffer.from(source)
  const tokens = tokensOf(source)
  const textOf = (token: ScanToken | undefined) =>
    token === undefined ? '' : bytes.subarray(token.start, token.end).toString()
  const parts: Buffer[] = []
  let done = 0
  for (const [at, token] of tokens.entries()) {
    const [dot, last] = [tokens[at + 1], tokens[at + 2]]
    if (token.start < done || last === undefined || textOf(dot) !== '.' || textOf(tokens[at - 1]) === '.')
      continue
    const name = nameIn(identifierOf(textOf(token)), identifierOf(textOf(last)))
    if (name === undefined) continue
    parts.push(bytes.subarray(done, token.start), Buffer.from(quoteIdentifier(name)))
    done = last.end
  }
  return Buffer.concat([...parts, bytes.subarray(done)]).toString()
}

/** None for what the scanner cannot read: such a body is left alone, and judged by the layout. */
function tokensOf(source: string): readonly ScanToken[] {
  try {
    return scanSync(source).tokens.filter(({ tokenName }) => !tokenName.endsWith('_COMMENT'))
  } catch {
    return []
  }
}

/** The name that a word of SQL stands for. */
function identifierOf(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word.toLowerCase()
}
