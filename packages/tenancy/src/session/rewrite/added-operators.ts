import type { Node } from 'libpg-query'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { addCondition, type Condition, conditionsOf } from './conditions.ts'
import { FromClause, type ResolvedColumn } from './from-clause.ts'
import type { Place } from './place-shape.ts'
import { behindKeywords, type SourceText } from './source-text.ts'
import { conjunctsOf, firstLocation, nameNode, namesOf, type Query } from './tree.ts'

/** A comparison of a column that stands as a condition of its own. */
export interface Comparison {
  readonly column: ResolvedColumn
  /** The operator, as it is written. */
  readonly operator: string
  readonly right: Node
}

/** A further comparison of the same column, which an index may serve before the policy. */
export interface Addition {
  readonly kind: Change['kind']
  /** The operator's name, with its schema where it is not the default one. */
  readonly operator: readonly string[]
  /** The function of schema quickscale that makes its right side of the present one. */
  readonly called: string
  /** The present right side as text. */
  readonly value: string
  readonly reason: string
}

/** Adds what `find` gives for each comparison of a column with something; the comparisons themselves stay. */
export function addOperators(
  query: Query,
  place: Place,
  source: SourceText,
  {
    operatorOf,
    find,
  }: {
    operatorOf(conjunct: Node): string | undefined
    find(comparison: Comparison): Addition | undefined
  },
): Change[] {
  const { tables, conditions } = conditionsOf(query)
  const from = new FromClause(tables, place, query.hidden)
  return conditions.flatMap((condition) => {
    const at = behindKeywords(source, firstLocation(condition.node), [condition.keyword])
    if (at === undefined) return []
    return conjunctsOf(condition.node).flatMap((conjunct) => {
      const operator = operatorOf(conjunct)
      if (operator === undefined || !('A_Expr' in conjunct)) return []
      const { lexpr: left, rexpr: right } = conjunct.A_Expr
      const names = left && 'ColumnRef' in left ? namesOf(left.ColumnRef.fields) : undefined
      const column = names && from.resolve(names)
      const addition = column && right && find({ column, operator, right })
      return addition ? [add(column, addition, right, condition, at)] : []
    })
  })
}

function add(
  { reference, column }: ResolvedColumn,
  { kind, operator, called, value, reason }: Addition,
  right: Node,
  condition: Condition,
  at: number,
): Change {
  const name = reference.columns[reference.table.columns.indexOf(column)] ?? column
  const left = `${quoteIdentifier(reference.name)}.${quoteIdentifier(name)}`
  const written = operator.length === 1 ? operator.join() : `operator(${operator.join('.')})`
  return {
    kind,
    at,
    inserted: ` ${left} ${written} quickscale.${called}(${value}) and`,
    reason,
    apply: () =>
      addCondition(condition, {
        A_Expr: {
          kind: 'AEXPR_OP',
          name: operator.map(nameNode),
          lexpr: { ColumnRef: { fields: [nameNode(reference.name), nameNode(name)] } },
          rexpr: {
            FuncCall: {
              funcname: [nameNode('quickscale'), nameNode(called)],
              args: [right],
              funcformat: 'COERCE_EXPLICIT_CALL',
            },
          },
        },
      }),
  }
}
