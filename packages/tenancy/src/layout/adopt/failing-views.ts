import pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { placeSearchPath } from '../migrator.ts'
import type { LayoutRefusal } from '../shape.ts'

/** A row is cast, or a function returns one, that lacks tenant_id. */
const wholeRow = new Set(['42846', '42804', '42P13'])

/**
 * Names the views that cannot be planned any more because something in them makes a whole row of a table, column by
 * column: the table has one more now, and which functions are called with what is known only when a query is planned.
 *
 * @param client in a transaction, in which the place is complete
 */
export async function refuseFailingViews(client: pg.ClientBase, schema: string): Promise<LayoutRefusal[]> {
  const { rows } = await client.query<{ name: string }>(
    `select relname::text as name from pg_catalog.pg_class
      where relnamespace = $1::regnamespace and relkind = 'v' order by relname`,
    [quoteIdentifier(schema)],
  )
  const refusals: LayoutRefusal[] = []
  for (const { name } of rows) {
    const error = await failureOf(client, schema, name)
    if (error === null) continue
    refusals.push({
      kind: 'view',
      object: name,
      reason: `it fails: ${error.message}`,
      remedy:
        'Select columns by name, or return a composite type (CREATE TYPE … AS) in place of the row of a table.',
    })
  }
  return refusals
}

async function failureOf(
  client: pg.ClientBase,
  schema: string,
  view: string,
): Promise<pg.DatabaseError | null> {
  await client.query('savepoint quickscale_view')
  try {
    await client.query(`set local search_path to ${placeSearchPath(schema)}`)
    await client.query(`explain select * from ${quoteQualified(schema, view)}`)
    return null
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    return wholeRow.has(error.code ?? '') ? error : null
  } finally {
    await client.query('rollback to savepoint quickscale_view')
  }
}
