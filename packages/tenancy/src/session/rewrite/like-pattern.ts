import type { Node } from 'libpg-query'
import { type ConstantWords, constantText } from './constant-text.ts'

/** What may stand in a pattern. */
export const likeWords: ConstantWords = {
  types: new Map([
    ['text', 'text'],
    ['pg_catalog.varchar', 'varchar'],
  ]),
  // What the grammar makes of ESCAPE.
  functions: new Map([['pg_catalog.like_escape', 'pg_catalog.like_escape']]),
}

/**
 * A LIKE pattern as SQL, if it can be evaluated twice.
 *
 * @param parameters how often each is used in the statement
 * @returns undefined when it cannot, or begins with a wildcard
 */
export function patternText(pattern: Node, parameters: ReadonlyMap<number, number>): string | undefined {
  return beginsWithWildcard(pattern) ? undefined : constantText(pattern, parameters, likeWords)
}

function beginsWithWildcard(pattern: Node): boolean {
  let first: Node | undefined = pattern
  while (first !== undefined && !('A_Const' in first)) {
    if ('A_Expr' in first) first = first.A_Expr.lexpr
    else if ('TypeCast' in first) first = first.TypeCast.arg
    else first = 'FuncCall' in first ? first.FuncCall.args?.[0] : undefined
  }
  return ['%', '_'].includes(first?.A_Const.sval?.sval?.charAt(0) ?? '')
}
