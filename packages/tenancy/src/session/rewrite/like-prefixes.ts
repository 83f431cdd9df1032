import type { Node } from 'libpg-query'
import { addOperators } from './added-operators.ts'
import type { Change } from './change.ts'
import { patternText } from './like-pattern.ts'
import type { Place } from './place-shape.ts'
import type { SourceText } from './source-text.ts'
import { namesOf, type Query } from './tree.ts'

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
  return addOperators(query, place, source, {
    operatorOf: likeOf,
    find: ({ column: { reference, column }, right }) => {
      const value = patternText(right, parameters)
      if (!reference.table.prefixes.includes(column) || !value) return undefined
      const reason = `row security keeps LIKE from the index on ${column}, and lets ^@ use it`
      return { kind: 'like-prefix', operator: ['^@'], called: 'like_prefix', value, reason }
    },
  })
}

function likeOf(node: Node): string | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const isOperator = expression?.kind === 'AEXPR_LIKE' || expression?.kind === 'AEXPR_OP'
  const operator = namesOf(expression?.name)?.join('.')
  return isOperator && operator === '~~' ? operator : undefined
}
