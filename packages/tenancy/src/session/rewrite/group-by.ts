import type { Node, SelectStmt } from 'libpg-query'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { FromClause, type ResolvedColumn, type TableReference } from './from-clause.ts'
import { type Place, type PlaceShape, TENANT_COLUMN } from './place-shape.ts'
import { behindKeywords, type SourceText } from './source-text.ts'
import { columnsIn, firstLocation, nameNode, namesOf, type Query } from './tree.ts'

/**
 * `select c.id, c.name … group by c.id` relies on the primary key: `id` decides every other column. The key of a tenant
 * table is `(tenant_id, id)`, so `tenant_id` is grouped by as well. All rows in sight have the same, so groups stay as
 * they are.
 */
export function completeGroupBy(query: Query, place: Place, source: SourceText): Change[] {
  if (query.kind !== 'SelectStmt') return []
  const { body } = query
  const groupClause = body.groupClause ?? []
  if (groupClause.length === 0) return []
  const from = new FromClause(body.fromClause ?? [], place, query.hidden)
  const grouped = commonTo(groupClause).flatMap((node) => resolveGrouped(node, body, from) ?? [])
  const isGrouped = (reference: TableReference, column: string) =>
    grouped.some((candidate) => candidate.reference === reference && candidate.column === column)
  const incomplete = from.references.filter((reference) => {
    const { key } = reference.table
    const byAuthor = key.filter((column) => column !== TENANT_COLUMN)
    return (
      byAuthor.length > 0 &&
      byAuthor.length < key.length &&
      byAuthor.every((column) => isGrouped(reference, column)) &&
      !isGrouped(reference, TENANT_COLUMN) &&
      reliesOn(reference, body, from, place.shape, (column) => isGrouped(reference, column))
    )
  })
  const at = behindKeywords(source, firstLocation(groupClause[0]), ['group', 'by'], ['distinct', 'all'])
  if (at === undefined) return []
  return incomplete.map((reference) => addTenant(reference, groupClause, at))
}

function addTenant(reference: TableReference, groupClause: Node[], at: number): Change {
  const tenant = reference.columns[reference.table.columns.indexOf(TENANT_COLUMN)] ?? TENANT_COLUMN
  return {
    kind: 'group-by',
    at,
    inserted: ` ${quoteIdentifier(reference.name)}.${quoteIdentifier(tenant)},`,
    reason: `columns of ${reference.name} are selected by its primary key, which contains ${TENANT_COLUMN}`,
    apply: () => {
      groupClause.unshift({ ColumnRef: { fields: [nameNode(reference.name), nameNode(tenant)] } })
    },
  }
}

/** What is grouped by in every grouping set: only that decides other columns. */
function commonTo(groupClause: readonly Node[]): Node[] {
  return groupClause.flatMap((node) => {
    if ('RowExpr' in node && node.RowExpr.row_format === 'COERCE_IMPLICIT_CAST')
      return node.RowExpr.args ?? []
    if (!('GroupingSet' in node)) return [node]
    const { kind, content = [] } = node.GroupingSet
    if (kind === 'GROUPING_SET_SIMPLE') return commonTo(content)
    if (kind !== 'GROUPING_SET_SETS') return []
    const [first = [], ...others] = content.map((set) => commonTo([set]))
    return first.filter((one) => others.every((set) => set.some((other) => sameName(one, other))))
  })
}

function sameName(one: Node, other: Node): boolean {
  if (!('ColumnRef' in one && 'ColumnRef' in other)) return false
  const names = namesOf(one.ColumnRef.fields)
  return names !== undefined && names.join('\0') === namesOf(other.ColumnRef.fields)?.join('\0')
}

/** A column by its name, by the name or by the number of an output column. */
function resolveGrouped(node: Node, body: SelectStmt, from: FromClause): ResolvedColumn | undefined {
  const targets = (body.targetList ?? []).flatMap((target) =>
    'ResTarget' in target ? [target.ResTarget] : [],
  )
  if ('A_Const' in node) {
    const number = node.A_Const.ival?.ival
    const before = number === undefined ? [] : targets.slice(0, number)
    // An asterisk is several columns.
    const counts = before.every(
      ({ val }) => val && !(isColumn(val) && namesOf(val.ColumnRef.fields) === undefined),
    )
    return counts ? resolveColumn(before.at(-1)?.val, from) : undefined
  }
  const found = resolveColumn(node, from)
  if (found !== undefined || !from.complete || !isColumn(node)) return found
  const names = namesOf(node.ColumnRef.fields)
  if (names?.length !== 1) return undefined
  return resolveColumn(targets.find(({ name }) => name === names[0])?.val, from)
}

function resolveColumn(node: Node | undefined, from: FromClause): ResolvedColumn | undefined {
  const names = node && isColumn(node) ? namesOf(node.ColumnRef.fields) : undefined
  return names && from.resolve(names)
}

/** Whether a column that is not grouped by is used outside aggregates; in doubt it is, which costs nothing. */
function reliesOn(
  reference: TableReference,
  body: SelectStmt,
  from: FromClause,
  shape: PlaceShape,
  isGrouped: (column: string) => boolean,
): boolean {
  const { targetList, havingClause, sortClause, windowClause, distinctClause } = body
  const used = columnsIn(
    [targetList, havingClause, sortClause, windowClause, distinctClause],
    (node, nested) => (nested ? null : outsideAggregate(node, shape)),
  )
  return used.some((node) => {
    const fields = isColumn(node) ? (node.ColumnRef.fields ?? []) : []
    const names = namesOf(fields)
    if (names === undefined) {
      const [qualifier] = namesOf(fields.slice(-2, -1)) ?? []
      return qualifier === undefined || qualifier === reference.name
    }
    const found = from.resolve(names)
    if (found !== undefined) return found.reference === reference && !isGrouped(found.column)
    // The name of a table alone means its whole row.
    return names.length === 1 && names[0] === reference.name
  })
}

/** What of an aggregate call must be grouped by: nothing, or the direct arguments before WITHIN GROUP. */
function outsideAggregate(node: Node, shape: PlaceShape): readonly unknown[] | null {
  if (!('FuncCall' in node)) return null
  const { funcname, over, args = [], agg_within_group: withinGroup } = node.FuncCall
  const name = namesOf(funcname)?.at(-1)
  if (over !== undefined || name === undefined || !shape.aggregates.includes(name)) return null
  return withinGroup === true ? args : []
}

function isColumn(node: Node): node is Extract<Node, { ColumnRef: unknown }> {
  return 'ColumnRef' in node
}
