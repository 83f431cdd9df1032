import type { AlterTableStmt, Constraint, CreateStmt, DropStmt, IndexStmt, Node, ViewStmt } from 'libpg-query'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { tenantClauses } from '../compile/walls.ts'
import { type Index, type LayoutRefusal, TENANT_COLUMN, type Wall } from '../shape.ts'
import { standInName } from '../stand-in.ts'
import { helperOf, tenantPosition } from '../tenant-position.ts'
import { groupByTenant, groups } from './grouped-views.ts'
import { columnNames } from './index-names.ts'
import type { KnownKey, KnownTable, KnownTables } from './known-tables.ts'
import { nameOf } from './node-names.ts'
import { type Edit, listSpan, nameEnd, onBefore, type SourceText } from './source-text.ts'

const NAME_BYTES_MAX = 63

interface NeededStandIn {
  readonly table: KnownTable
  readonly key: KnownKey
  /** With the real keys in it, because rows that exist already are checked against it. */
  readonly filled: boolean
}

/** What a migration needs to run among complete tables. */
export interface FitPlan {
  readonly edits: Edit[]
  readonly standIns: Map<string, NeededStandIn>
  readonly refusals: LayoutRefusal[]
  /** Extensions that its indexes need. */
  readonly helpers: Set<string>
  /** It may concern a table it does not make itself. */
  touchesOthers: boolean
}

interface Walk {
  readonly source: SourceText
  readonly known: KnownTables
  readonly wall: Wall
  readonly plan: FitPlan
}

/** Follows the statements in order, as their tables come, go and change names. */
export function planEdits(source: SourceText, known: KnownTables, wall: Wall): FitPlan {
  const plan: FitPlan = {
    edits: [],
    standIns: new Map(),
    refusals: [],
    helpers: new Set(),
    touchesOthers: false,
  }
  const walk: Walk = { source, known, wall, plan }
  source.statements.forEach((statement, at) => {
    planStatement(walk, statement)
    planAttach(walk, statement, source.spans[at]?.start ?? 0)
  })
  return plan
}

function planStatement(walk: Walk, statement: Node): void {
  const { known } = walk
  if ('CreateStmt' in statement) planCreate(walk, statement.CreateStmt)
  else if ('AlterTableStmt' in statement) planAlter(walk, statement.AlterTableStmt)
  else if ('IndexStmt' in statement) planIndex(walk, statement.IndexStmt)
  else if ('CreateTableAsStmt' in statement)
    known.forget(statement.CreateTableAsStmt.into?.rel?.relname ?? '')
  else if ('RenameStmt' in statement) {
    const { renameType, relation, subname = '', newname = '' } = statement.RenameStmt
    if (renameType === 'OBJECT_TABLE') known.rename(relation?.relname ?? '', newname)
    if (renameType === 'OBJECT_COLUMN') known.renameColumn(relation?.relname ?? '', subname, newname)
  } else if ('ViewStmt' in statement) planView(walk, statement.ViewStmt)
  else if ('DropStmt' in statement) planDrop(walk, statement.DropStmt)
}

/** GROUP BY of a primary key that has tenant_id in it by now. */
function planView({ source, known, plan }: Walk, view: ViewStmt): void {
  if (!groups(view)) return
  plan.touchesOthers = true
  plan.edits.push(...groupByTenant(source, known, view))
}

function planDrop({ known }: Walk, { removeType, objects = [] }: DropStmt): void {
  for (const object of objects) {
    const name = nameOf(object)
    if (removeType === 'OBJECT_TABLE') known.forget(name)
    if (removeType === 'OBJECT_INDEX') known.release(name)
  }
}

function planCreate(walk: Walk, { relation, tableElts = [], if_not_exists: ifNotExists }: CreateStmt): void {
  const exists = ifNotExists === true && relation && walk.known.find(relation)
  if (!exists) walk.known.forget(relation?.relname ?? '')
  for (const constraint of constraintsIn(tableElts)) planForeignKey(walk, constraint, false)
}

function planAlter(walk: Walk, { relation, cmds = [] }: AlterTableStmt): void {
  const table = relation && walk.known.find(relation)
  const commands = cmds.flatMap((cmd) => ('AlterTableCmd' in cmd ? [cmd.AlterTableCmd] : []))
  // PostgreSQL drops before it adds, wherever the commands stand.
  for (const { subtype, name = '' } of commands) if (subtype === 'AT_DropConstraint') walk.known.release(name)
  for (const { def } of commands) {
    if (!def) continue
    for (const constraint of constraintsIn([def])) planForeignKey(walk, constraint, table !== undefined)
    if (table && 'ColumnDef' in def) walk.known.addColumn(table.name, def.ColumnDef.colname ?? '')
    if (table && 'Constraint' in def) planKey(walk, table, def.Constraint)
  }
}

/** A table that becomes a partition of a complete one must have its columns and checks by then. */
function planAttach({ known, wall, plan }: Walk, statement: Node, start: number): void {
  if (!('AlterTableStmt' in statement) || statement.AlterTableStmt.objtype !== 'OBJECT_TABLE') return
  const { relation, cmds = [] } = statement.AlterTableStmt
  if (!relation || !known.find(relation)) return
  for (const cmd of cmds) {
    if (!('AlterTableCmd' in cmd) || cmd.AlterTableCmd.subtype !== 'AT_AttachPartition') continue
    const { def } = cmd.AlterTableCmd
    const part = def && 'PartitionCmd' in def ? def.PartitionCmd.name : undefined
    plan.touchesOthers = true
    if (!part?.relname || known.find(part)) continue
    const name = part.schemaname
      ? quoteQualified(part.schemaname, part.relname)
      : quoteIdentifier(part.relname)
    const clauses = [`add column ${TENANT_COLUMN} uuid not null`, ...tenantClauses(wall)]
    plan.edits.push({ start, end: start, text: ` alter table ${name} ${clauses.join(', ')}; ` })
  }
}

function planForeignKey({ source, known, plan }: Walk, constraint: Constraint, filled: boolean): void {
  const { contype, pktable } = constraint
  const table = contype === 'CONSTR_FOREIGN' && pktable ? known.find(pktable) : undefined
  if (!table || pktable?.location === undefined) return
  plan.touchesOthers = true
  const columns = strings(constraint.pk_attrs)
  const key = table.keys.find((candidate) =>
    columns.length === 0 ? candidate.primary : sameSet(candidate.columns, columns),
  )
  // A key made by this very migration is still as its author wrote it.
  if (!key) return
  if (key.temporal) plan.helpers.add('btree_gist')
  const name = standInName(table.oid, key.oid)
  plan.standIns.set(name, { table, key, filled: filled || plan.standIns.get(name)?.filled === true })
  const text = pktable.schemaname ? quoteQualified(pktable.schemaname, name) : quoteIdentifier(name)
  plan.edits.push({ start: pktable.location, end: nameEnd(source, pktable.location), text })
}

function planKey(walk: Walk, table: KnownTable, constraint: Constraint): void {
  const { contype, conname, location, access_method: method = 'gist' } = constraint
  if (location === undefined || isComplete(constraint)) return
  walk.plan.touchesOthers = true
  if (contype === 'CONSTR_EXCLUSION') {
    nameKey(walk, location, conname, columnNames(excluded(constraint)), [table.name, 'excl'])
    addTenant(walk, location, { method, unique: false }, `${TENANT_COLUMN} with operator(pg_catalog.=)`)
    return
  }
  const temporal = constraint.without_overlaps === true
  // There are no rows of others that it could clash with: completion puts tenant_id in.
  if (temporal && walk.wall.kind === 'database') return
  const primary = contype === 'CONSTR_PRIMARY'
  const columns = primary ? [] : [...strings(constraint.keys), ...strings(constraint.including)]
  // A table has one primary key: if its name is taken, it is by the one that went before.
  if (primary && conname === undefined) walk.known.release(`${table.name}_pkey`)
  nameKey(walk, location, conname, columns, [table.name, primary ? 'pkey' : 'key'])
  addTenant(walk, location, { method: temporal ? 'gist' : 'btree', unique: true })
}

/** Keys with an index of their own, and not USING INDEX; where tenant_id stands already, completion looks at it. */
function isComplete(constraint: Constraint): boolean {
  if (constraint.contype === 'CONSTR_EXCLUSION') return false
  const isKey = constraint.contype === 'CONSTR_PRIMARY' || constraint.contype === 'CONSTR_UNIQUE'
  const columns = strings(constraint.keys)
  return !isKey || columns.length === 0 || columns.includes(TENANT_COLUMN)
}

/** Gives a key without a name the one it would have without tenant_id. */
function nameKey(
  walk: Walk,
  location: number,
  given: string | undefined,
  columns: readonly string[] | undefined,
  [table, ending]: readonly [string, string],
): void {
  if (given !== undefined) return
  const name = defaultName(walk, 'key', columns && [table, ...columns, ending])
  walk.plan.edits.push({ start: location, end: location, text: `constraint ${quoteIdentifier(name)} ` })
}

function excluded({ exclusions = [] }: Constraint): Node[] {
  return exclusions.flatMap((pair) => ('List' in pair ? (pair.List.items?.slice(0, 1) ?? []) : []))
}

function planIndex(walk: Walk, statement: IndexStmt): void {
  const { relation, idxname, indexParams = [], indexIncludingParams = [], unique = false } = statement
  const { accessMethod: method = 'btree' } = statement
  const table = relation && walk.known.find(relation)
  if (!table || relation.location === undefined) return
  // Refused afterwards.
  if (indexParams.some((param) => 'IndexElem' in param && param.IndexElem.name === TENANT_COLUMN)) return
  walk.plan.touchesOthers = true
  // Completion makes it again, with the names that PostgreSQL gave to its parts.
  if (table.partitioned && !unique) return
  const on = onBefore(walk.source, relation.location)
  if (idxname === undefined && on !== undefined) {
    const columns = columnNames([...indexParams, ...indexIncludingParams])
    // PostgreSQL names it; completion makes it again under that name.
    if (columns === undefined && !unique) return
    const name = defaultName(walk, 'index', columns && [table.name, ...columns, 'idx'])
    walk.plan.edits.push({ start: on, end: on, text: `${quoteIdentifier(name)} ` })
  }
  addTenant(walk, nameEnd(walk.source, relation.location), { method, unique })
}

function addTenant(
  { source, wall, plan }: Walk,
  location: number,
  index: Pick<Index, 'method' | 'unique'>,
  column: string = TENANT_COLUMN,
): void {
  const position = tenantPosition(wall, index)
  const helper = helperOf(wall, index)
  if (helper !== undefined) plan.helpers.add(helper)
  const list = listSpan(source, location)
  if (!list || position === 'absent') return
  const [at, text] = position === 'first' ? [list.start, `${column}, `] : [list.end, `, ${column}`]
  plan.edits.push({ start: at, end: at, text })
}

/** The name PostgreSQL would have given without tenant_id, where that is simple. */
function defaultName({ known, plan }: Walk, kind: string, parts: readonly string[] | undefined): string {
  const name = parts?.join('_') ?? ''
  if (parts && Buffer.byteLength(name) <= NAME_BYTES_MAX && known.take(name)) return name
  plan.refusals.push({
    kind,
    object: name === '' ? 'without a name' : name,
    reason:
      'PostgreSQL would have to make up a name for it, because this one is taken, too long or hard to tell',
    remedy: `Name the ${kind} in the migration.`,
  })
  return 'unnamed'
}

function constraintsIn(elements: readonly Node[]): Constraint[] {
  return elements.flatMap((element) => {
    if ('Constraint' in element) return [element.Constraint]
    return 'ColumnDef' in element ? constraintsIn(element.ColumnDef.constraints ?? []) : []
  })
}

function strings(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).flatMap((node) => ('String' in node ? [node.String.sval ?? ''] : []))
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name))
}
