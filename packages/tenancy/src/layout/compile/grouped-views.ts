import { type Node, parse, type SelectStmt } from 'libpg-query'
import pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { firstLocation } from '../../session/rewrite/tree.ts'
import type { View } from '../shape.ts'

interface GroupedView {
  readonly oid: string
  readonly name: string
  readonly definition: string
  readonly options: string | null
  readonly tables: readonly GroupedTable[]
}

/** A table whose primary key the view relies on. */
interface GroupedTable {
  readonly name: string
  readonly key: readonly string[]
  /** Its columns that the view reads. */
  readonly read: readonly string[]
}

const RELIES = `
  select pg_depend.refobjid from pg_depend
   where pg_depend.classid = 'pg_rewrite'::regclass and pg_depend.refclassid = 'pg_constraint'::regclass
     and pg_depend.objid = rewrite.oid`

const VIEWS = `
  select class.oid, class.relname::text as name, pg_get_viewdef(class.oid) as definition,
         array_to_string(class.reloptions, ', ') as options,
         (select json_agg(json_build_object(
                   'name', owner.relname,
                   'key', (select json_agg(attname) from pg_attribute
                            where attrelid = owner.oid and attnum = any (con.conkey)),
                   'read', (select json_agg(distinct attname)
                              from pg_depend
                              join pg_attribute on attrelid = owner.oid and attnum = refobjsubid
                             where classid = 'pg_rewrite'::regclass and objid = rewrite.oid
                               and refclassid = 'pg_class'::regclass and refobjid = owner.oid and refobjsubid > 0)))
            from pg_constraint as con
            join pg_class as owner on owner.oid = con.conrelid
           where con.oid in (${RELIES})) as tables
    from pg_class as class
    join pg_rewrite as rewrite on rewrite.ev_class = class.oid and rewrite.rulename = '_RETURN'
   where class.oid = any ($1) and exists (${RELIES})
   order by class.oid`

/**
 * Lets go of primary keys on which GROUP BY relies (`select c.id, c.name … group by c.id`): they are about to change.
 * What a key decides may be grouped by as well, and groups stay as they are. A view for which that cannot be done stays
 * as it is, and will be refused.
 *
 * @param client in a transaction, under a search_path that makes PostgreSQL print every name qualified
 * @returns whether any view is another one now
 */
export async function groupByEveryColumn(
  client: pg.ClientBase,
  schema: string,
  views: readonly View[],
): Promise<boolean> {
  if (views.length === 0) return false
  const { rows } = await client.query<GroupedView>(VIEWS, [views.map(({ oid }) => oid)])
  let changed = false
  for (const view of rows) {
    const definition = await completeDefinition(view)
    if (definition !== null && (await replaceView(client, schema, { ...view, definition }))) changed = true
  }
  return changed
}

/** Whether the view needs the key no longer; otherwise it is as it was. */
async function replaceView(client: pg.ClientBase, schema: string, view: GroupedView): Promise<boolean> {
  const name = quoteQualified(schema, view.name)
  const options = view.options === null ? '' : ` with (${view.options})`
  const text = `create or replace view ${name}${options} as ${view.definition.replace(/;\s*$/, '')}`
  if (await tryToReplace(client, view, text)) {
    await client.query(text)
    return true
  }
  return false
}

/** Leaves nothing: what a blueprint repeats has no savepoints in it, and those with parameters are not recorded. */
async function tryToReplace(client: pg.ClientBase, { oid }: GroupedView, text: string): Promise<boolean> {
  await client.query('savepoint quickscale_view', [])
  try {
    await client.query(text, [])
    const { rowCount } = await client.query(
      `select from pg_rewrite as rewrite where rewrite.ev_class = $1 and exists (${RELIES})`,
      [oid],
    )
    return rowCount === 0
  } catch (error) {
    // A column without an order cannot be grouped by, json for instance.
    if (error instanceof pg.DatabaseError) return false
    throw error
  } finally {
    await client.query('rollback to savepoint quickscale_view; release savepoint quickscale_view', [])
  }
}

async function completeDefinition({ definition, tables }: GroupedView): Promise<string | null> {
  const bytes = Buffer.from(definition)
  const insertions = groupedQueries(await parse(definition)).flatMap(({ query, first }) => {
    const at = bytes.lastIndexOf('GROUP BY ', first)
    const columns = referencesIn(query.fromClause ?? []).flatMap(({ name, table }) =>
      columnsToAdd(
        query.groupClause ?? [],
        name,
        tables.find((each) => each.name === table),
      ),
    )
    return at < 0 || columns.length === 0
      ? []
      : [{ at: at + 'GROUP BY '.length, text: `${columns.join(', ')}, ` }]
  })
  if (insertions.length === 0) return null
  const parts: Buffer[] = []
  let done = 0
  for (const { at, text } of insertions.toSorted((one, other) => one.at - other.at)) {
    parts.push(bytes.subarray(done, at), Buffer.from(text))
    done = at
  }
  return Buffer.concat([...parts, bytes.subarray(done)]).toString()
}

/** What the key decides and nothing groups by yet; nothing where the key is not grouped by as a whole. */
function columnsToAdd(grouped: readonly Node[], name: string, table: GroupedTable | undefined): string[] {
  const own = grouped.flatMap((node) => {
    const names = 'ColumnRef' in node ? namesOf(node.ColumnRef.fields) : []
    // Of a single table PostgreSQL prints bare columns.
    return names.length === 1 || names.at(-2) === name ? [names.at(-1)] : []
  })
  if (table === undefined || !table.key.every((column) => own.includes(column))) return []
  return table.read
    .filter((column) => !own.includes(column))
    .map((column) => `${quoteIdentifier(name)}.${quoteIdentifier(column)}`)
}

function groupedQueries(parsed: unknown): { query: SelectStmt; first: number }[] {
  const found: { query: SelectStmt; first: number }[] = []
  const waiting = [parsed]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue
    const query = next as SelectStmt
    const first = firstLocation(query.groupClause?.[0])
    if (Number.isFinite(first)) found.push({ query, first })
    waiting.push(...Object.values(next))
  }
  return found
}

/** The tables of a FROM clause, joined ones too, by the names that their columns are qualified with. */
function referencesIn(nodes: readonly Node[]): { name: string; table: string }[] {
  const found: { name: string; table: string }[] = []
  const waiting = [...nodes]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if ('RangeVar' in next) {
      const { relname = '', alias } = next.RangeVar
      found.push({ name: alias?.aliasname ?? relname, table: relname })
    }
    if ('JoinExpr' in next) {
      const { larg, rarg } = next.JoinExpr
      waiting.push(...[larg, rarg].filter((arm) => arm !== undefined))
    }
  }
  return found
}

function namesOf(fields: readonly Node[] | undefined): string[] {
  return (fields ?? []).map((field) => ('String' in field ? (field.String.sval ?? '') : ''))
}
