import type { A_Expr, Node } from 'libpg-query'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { addCondition, type Condition, conditionsOf } from './conditions.ts'
import { FromClause, type ResolvedColumn } from './from-clause.ts'
import { patternText } from './like-pattern.ts'
import type { Place } from './place-shape.ts'
import { behindKeywords, type SourceText } from './source-text.ts'
import { conjunctsOf, firstLocation, nameNode, namesOf, type Query } from './tree.ts'

/**
 * `name LIKE 'abc%'` is evaluated after the policy, because LIKE is not LEAKPROOF, and so never inside an index.
 * `name ^@ 'abc'` is LEAKPROOF and says the same about the prefix. It is added, never put in place of LIKE.
 */
export function helpLikePrefixes(
  query: Query,
  place: Place,
  source: SourceText,
  parameters: ReadonlyMap<number, number>,
): Change[] {
  const { tables, conditions } = conditionsOf(query)
  const from = new FromClause(tables, place, query.hidden)
  return conditions.flatMap((condition) => {
    const at = behindKeywords(source, firstLocation(condition.node), [condition.keyword])
    if (at === undefined) return []
    return conjunctsOf(condition.node).flatMap((conjunct) => {
      const like = likeOf(conjunct)
      const names =
        like?.lexpr && 'ColumnRef' in like.lexpr ? namesOf(like.lexpr.ColumnRef.fields) : undefined
      const column = names && from.resolve(names)
      const pattern = like?.rexpr && patternText(like.rexpr, parameters)
      if (!column?.reference.table.prefixes.includes(column.column) || !like?.rexpr || !pattern) return []
      return [addPrefix(column, like.rexpr, pattern, condition, at)]
    })
  })
}

function addPrefix(
  { reference, column }: ResolvedColumn,
  rexpr: Node,
  pattern: string,
  condition: Condition,
  at: number,
): Change {
  const name = reference.columns[reference.table.columns.indexOf(column)] ?? column
  return {
    kind: 'like-prefix',
    at,
    inserted: ` ${quoteIdentifier(reference.name)}.${quoteIdentifier(name)} ^@ quickscale.like_prefix(${pattern}) and`,
    reason: `row security keeps LIKE from the index on ${column}, and lets ^@ use it`,
    apply: () => {
      const prefix: Node = {
        A_Expr: {
          kind: 'AEXPR_OP',
          name: [nameNode('^@')],
          lexpr: { ColumnRef: { fields: [nameNode(reference.name), nameNode(name)] } },
          rexpr: {
            FuncCall: {
              funcname: [nameNode('quickscale'), nameNode('like_prefix')],
              args: [rexpr],
              funcformat: 'COERCE_EXPLICIT_CALL',
            },
          },
        },
      }
      addCondition(condition, prefix)
    },
  }
}

function likeOf(node: Node): A_Expr | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const isOperator = expression?.kind === 'AEXPR_LIKE' || expression?.kind === 'AEXPR_OP'
  return isOperator && namesOf(expression?.name)?.join('.') === '~~' ? expression : undefined
}
