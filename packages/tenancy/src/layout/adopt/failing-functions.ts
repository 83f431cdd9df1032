import type pg from 'pg'
import { quoteIdentifier } from '../../identifiers.ts'
import { layoutRefused } from '../refused.ts'

/**
 * Refuses the function that made completion fail: what an index or a default calls is run, or put into the query, as soon
 * as its table is planned; and a name in a string, as to_tsvector('public.own', …) has, does not move with its object.
 *
 * @param client where nothing of the completion is left
 * @throws the error itself when no function of the schema is to blame
 */
export async function refuseFailingFunction(client: pg.ClientBase, schema: string, error: pg.DatabaseError) {
  const { rows } = await client.query<{ kind: string; identity: string }>(
    `select found.type as kind, found.identity
       from pg_proc cross join lateral pg_identify_object('pg_proc'::regclass, pg_proc.oid, 0) as found
      where pronamespace = $1::regnamespace and proname = $2`,
    [quoteIdentifier(schema), failingName(error)],
  )
  if (rows.length === 0) throw error
  return layoutRefused(
    rows.map(({ kind, identity }) => ({
      kind,
      object: identity,
      reason: `it fails: ${error.message}`,
      remedy: 'Let it name only what is built in or in the same schemas, and not in a string.',
    })),
  )
}

/** The innermost function, by the name that PostgreSQL gives it in the context of an error. */
function failingName({ where }: pg.DatabaseError): string | null {
  const [, quoted, plain] =
    /^(?:SQL function "([^"]+)"|PL\/pgSQL function ([^(]+)\()/m.exec(where ?? '') ?? []
  return quoted ?? plain?.split('.').at(-1) ?? null
}
