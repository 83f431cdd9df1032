import type { Node } from 'libpg-query'
import type pg from 'pg'
import type { LayoutRefusal, Shape } from '../shape.ts'
import { lastName } from './node-names.ts'
import { relationName, type SharedNames, sharedNames } from './shared-names.ts'
import type { SourceText } from './source-text.ts'
import { CHANGES, finds, insertedTable, refuseRows, visit } from './statements.ts'

// Migrations write the rows of reference tables, and run without policies: what they write may not come from the rows of
// tenants, because all tenants would read it, and has to be the same in each place.

const REMEDY = 'Write the values out, or take them from other @shared tables.'

/** It may write rows, so that the database has to be asked whose they are. */
export function mayWriteRows({ statements }: SourceText): boolean {
  return statements.some(
    (statement) =>
      filledTable(statement) !== undefined ||
      finds(statement, (kind) => CHANGES.has(kind) || kind === 'CopyStmt' || kind === 'TruncateStmt'),
  )
}

/** Rows for tables of tenants, and rows for reference tables that are not the migration's own. */
export async function refuseSharedRows(
  client: pg.ClientBase,
  source: SourceText,
  shape: Shape,
): Promise<LayoutRefusal[]> {
  const names = sharedNames(source, shape)
  const writes = source.statements.some((statement) => writtenTable(statement, names) !== undefined)
  const subjects = source.statements.flatMap((statement) => subjectOf(statement, names, writes) ?? [])
  const calls = subjects.flatMap(({ statement, table }) =>
    callsIn(statement).map((name) => ({ name, table })),
  )
  const changing = await changingFunctions(client, source, shape, new Set(calls.map(({ name }) => name)))
  return [
    ...source.statements.flatMap((statement) => refuseInserts(statement, names)),
    ...subjects.flatMap((subject) => refuseReading(subject, names)),
    ...calls.filter(({ name }) => changing.has(name)).map(refuseCall),
  ]
}

function refuseInserts(statement: Node, { all }: SharedNames): LayoutRefusal[] {
  const refusals: LayoutRefusal[] = []
  visit(statement, (kind, fields) => {
    const inserted = insertedTable(kind, fields)
    const own = kind !== 'CopyStmt' && all.has(relationName(fields.relation))
    if (inserted !== undefined && !own) refusals.push(refuseRows(inserted))
    if (kind !== 'TruncateStmt' || !Array.isArray(fields.relations)) return
    for (const relation of fields.relations as Node[]) {
      const name = 'RangeVar' in relation ? relationName(relation.RangeVar) : ''
      if (all.has(name)) refusals.push(refuseTruncate(name))
    }
  })
  return refusals
}

/** A statement that decides what stands in a reference table. */
interface Subject {
  readonly statement: Node
  readonly table: string
  /** It takes rows from somewhere. */
  readonly moves: boolean
}

function subjectOf(statement: Node, names: SharedNames, writes: boolean): Subject | undefined {
  const table = writtenTable(statement, names)
  if (table !== undefined) return { statement, table, moves: true }
  const made = writes || names.makesSome ? filledTable(statement) : undefined
  if (made !== undefined) return { statement, table: made, moves: true }
  if ('CreateStmt' in statement || 'AlterTableStmt' in statement) {
    const [{ relation }] = Object.values(statement) as [{ relation?: unknown }]
    const name = relationName(relation)
    return names.all.has(name) ? { statement, table: name, moves: false } : undefined
  }
  // Its default or check may be that of a column.
  const domain = 'CreateDomainStmt' in statement || 'AlterDomainStmt' in statement
  return domain && writes ? { statement, table: 'a domain', moves: false } : undefined
}

function writtenTable(statement: Node, { all }: SharedNames): string | undefined {
  let written: string | undefined
  visit(statement, (kind, fields) => {
    const name = relationName(fields.relation)
    if (CHANGES.has(kind) && all.has(name)) written = name
  })
  return written
}

/** The table that a query makes, with its rows. */
function filledTable(statement: Node): string | undefined {
  let filled: string | undefined
  visit(statement, (kind, fields) => {
    const into = kind === 'CreateTableAsStmt' ? fields.into : kind === 'SelectStmt' ? fields.intoClause : null
    if (typeof into === 'object' && into !== null && 'rel' in into && !('skipData' in into))
      filled = relationName(into.rel)
  })
  return filled
}

function refuseReading({ statement, table, moves }: Subject, { all }: SharedNames): LayoutRefusal[] {
  if (!moves) return []
  const read: string[] = []
  visit(statement, (kind, fields) => {
    if (kind === 'RangeVar' && !all.has(relationName(fields))) read.push(String(fields.relname))
    if (kind === 'CommonTableExpr') read.push(`WITH ${String(fields.ctename)}`)
    if (kind === 'PrepareStmt' || kind === 'ExecuteStmt') read.push('a prepared statement')
  })
  return read.map((name) => ({
    kind: 'rows',
    object: table,
    reason: `all tenants would read what the migration takes from ${name}`,
    remedy: REMEDY,
  }))
}

function callsIn(statement: Node): string[] {
  const calls: string[] = []
  visit(statement, (kind, fields) => {
    if (kind === 'SQLValueFunction') calls.push('current_timestamp')
    if (kind !== 'FuncCall' || !Array.isArray(fields.funcname)) return
    const last = (fields.funcname as Node[]).at(-1)
    calls.push(last && 'String' in last ? (last.String.sval ?? '') : '')
  })
  return calls
}

/** Those of the migrations, which might read rows of tenants, and those that give another value each time. */
async function changingFunctions(
  client: pg.ClientBase,
  { statements }: SourceText,
  { routines }: Shape,
  names: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  if (names.size === 0) return names
  const own = [
    ...routines.map(({ name }) => name),
    ...statements.flatMap((statement) => {
      if ('CreateFunctionStmt' in statement) return [lastName(statement.CreateFunctionStmt.funcname)]
      return 'DefineStmt' in statement ? [lastName(statement.DefineStmt.defnames)] : []
    }),
  ]
  const { rows } = await client.query<{ name: string }>(
    `select proname::text as name from pg_catalog.pg_proc
      where proname = any ($1) group by proname having pg_catalog.bool_and(provolatile <> 'i')`,
    [[...names]],
  )
  const changing = new Set(rows.map(({ name }) => name))
  return new Set([...own.filter((name) => names.has(name)), ...changing, 'current_timestamp'])
}

function refuseCall({ name, table }: { name: string; table: string }): LayoutRefusal {
  return {
    kind: 'rows',
    object: table,
    reason: `${name}() may read the rows of tenants, or give another value in each place`,
    remedy: REMEDY,
  }
}

function refuseTruncate(name: string): LayoutRefusal {
  return {
    kind: 'rows',
    object: name,
    reason: 'TRUNCATE would empty the tables of tenants that refer to it',
    remedy: 'Use DELETE, which a row that is referred to stops.',
  }
}
