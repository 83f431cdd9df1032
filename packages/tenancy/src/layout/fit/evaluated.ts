import type { CreateTrigStmt, Node } from 'libpg-query'
import { readingRoutines } from '../compile/routine-bodies.ts'
import { type LayoutRefusal, type Shape, TENANT_COLUMN } from '../shape.ts'
import { lastName } from './node-names.ts'
import { relationName, sharedNames } from './shared-names.ts'
import type { SourceText } from './source-text.ts'
import { CHANGES, finds, visit } from './statements.ts'

// A migration has no tenant: what it evaluates over rows that exist is not bound by policies. Changing each row by itself
// is the same for one tenant and for many; reading others mixes tenants, whose ids are the same.

/** It changes or checks rows that may exist, so that the database has to be asked. */
export function mayEvaluate({ statements }: SourceText): boolean {
  return statements.some((statement) => evaluatedTable(statement) !== undefined)
}

/** Statements that would read rows of other tenants while they change or check those of one. */
export function refuseEvaluated(source: SourceText, shape: Shape): LayoutRefusal[] {
  const { statements } = source
  const known = new Set(shape.tables.filter((table) => table.known && !table.shared).map(({ name }) => name))
  const { all: shared } = sharedNames(source, shape)
  const reading = readingRoutines([...shape.routines, ...statements.flatMap(createdRoutine)])
  const views = viewNames(source, shape)
  const changesRows = statements.some((statement) => finds(statement, (kind) => CHANGES.has(kind)))
  const evaluates = statements.some((statement) => !isDefinition(statement))
  return statements.flatMap((statement) => {
    if (changesRows && 'CreateTrigStmt' in statement) return refuseTrigger(statement.CreateTrigStmt, reading)
    // Its checks and default may be evaluated for rows that exist.
    if ('CreateDomainStmt' in statement) return evaluates ? refuseCalls(statement, reading) : []
    if (!isDefinition(statement) && reading.size > 0) {
      const read = readView(statement, views)
      if (read !== undefined) return [refuseView(read)]
    }
    const table = evaluatedTable(statement)
    if (table === undefined || (table !== '' && !known.has(table))) return []
    const found = inspect(statement, shared)
    const called = refuseCalls(statement, reading)
    if (called.length > 0) return called
    const changes = 'UpdateStmt' in statement || 'DeleteStmt' in statement
    if (!changes || !found.reads || found.namesTenant) return []
    return [
      {
        kind: 'rows',
        object: table,
        reason: 'the migration compares its rows with others, which may be those of another tenant',
        remedy: `Do it for each tenant through a handle, or compare ${TENANT_COLUMN} too.`,
      },
    ]
  })
}

/** The table whose rows a statement changes or checks; empty when it is any. */
function evaluatedTable(statement: Node): string | undefined {
  if ('UpdateStmt' in statement) return statement.UpdateStmt.relation?.relname
  if ('DeleteStmt' in statement) return statement.DeleteStmt.relation?.relname
  if ('AlterTableStmt' in statement)
    return inspect(statement, NONE).calls.length > 0 ? statement.AlterTableStmt.relation?.relname : undefined
  const { calls, reads } = inspect(statement, NONE)
  const evaluated = !isDefinition(statement) || 'CreateDomainStmt' in statement
  return evaluated && (calls.length > 0 || reads) ? '' : undefined
}

/** Statements that name functions without calling them. */
const DEFINITIONS = new Set([
  'CreateStmt',
  'CreateDomainStmt',
  'CreateFunctionStmt',
  'CreateStatsStmt',
  'CreateTrigStmt',
  'CommentStmt',
  'CompositeTypeStmt',
  'DefineStmt',
  'DropStmt',
  'IndexStmt',
  'RenameStmt',
  'ViewStmt',
])

function isDefinition(statement: Node): boolean {
  return Object.keys(statement).some((kind) => DEFINITIONS.has(kind))
}

function viewNames({ statements }: SourceText, { views }: Shape): ReadonlySet<string> {
  const made = statements.flatMap((statement) =>
    'ViewStmt' in statement ? (statement.ViewStmt.view?.relname ?? []) : [],
  )
  return new Set([...views.map(({ name }) => name), ...made])
}

function readView(statement: Node, views: ReadonlySet<string>): string | undefined {
  let read: string | undefined
  visit(statement, (kind, { relname }) => {
    if (kind === 'RangeVar' && typeof relname === 'string' && views.has(relname)) read = relname
  })
  return read
}

function refuseView(object: string): LayoutRefusal {
  return {
    kind: 'view',
    object,
    reason: 'the migration reads it, and functions in it would read the rows of all tenants',
    remedy: 'Read tables, or do it for each tenant through a handle.',
  }
}

function refuseCalls(statement: Node, reading: ReadonlySet<string>): LayoutRefusal[] {
  const called = inspect(statement, NONE).calls.find((name) => reading.has(name))
  if (called === undefined) return []
  return [
    {
      kind: 'function',
      object: called,
      reason: 'the migration calls it, and it would read the rows of all tenants',
      remedy: 'Do it for each tenant through a handle.',
    },
  ]
}

interface Inspection {
  readonly calls: string[]
  /** It names rows of a table beside the one it changes. */
  reads: boolean
  namesTenant: boolean
}

const NONE: ReadonlySet<string> = new Set()

/** @param shared reference tables, whose rows belong to no tenant */
function inspect(statement: Node, shared: ReadonlySet<string>): Inspection {
  const found: Inspection = { calls: [], reads: false, namesTenant: false }
  visit(statement, (kind, fields) => {
    if (kind === 'FuncCall') found.calls.push(lastName(fields.funcname as Node[]))
    if (kind === 'ColumnRef' && lastName(fields.fields as Node[]) === TENANT_COLUMN) found.namesTenant = true
    if (kind === 'RangeVar' && !shared.has(relationName(fields))) found.reads = true
    if (kind === 'RangeFunction') found.reads = true
  })
  return found
}

function createdRoutine(statement: Node): { name: string; source: string; atomic: boolean }[] {
  if (!('CreateFunctionStmt' in statement)) return []
  const { funcname, options = [], sql_body: body } = statement.CreateFunctionStmt
  const source = options.flatMap((option) => {
    if (!('DefElem' in option) || option.DefElem.defname !== 'as') return []
    return [lastName(option.DefElem.arg && 'List' in option.DefElem.arg ? option.DefElem.arg.List.items : [])]
  })
  return [{ name: lastName(funcname), source: source.join(' '), atomic: body !== undefined }]
}

/** Until it is completed, a function runs with the rights of the migration. */
function refuseTrigger({ trigname = '', funcname }: CreateTrigStmt, reading: ReadonlySet<string>) {
  if (!reading.has(lastName(funcname))) return []
  return [
    {
      kind: 'trigger',
      object: trigname,
      reason: 'the migration changes rows too, and the trigger would read those of all tenants',
      remedy: 'Create it in a migration of its own.',
    },
  ]
}
