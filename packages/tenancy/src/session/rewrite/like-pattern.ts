import type { Node } from 'libpg-query'
import { quoteLiteral } from '../../identifiers.ts'
import { namesOf } from './tree.ts'

/** Longer chains of `||` are left alone. */
const depthMax = 20
const textTypes: ReadonlyMap<string, string> = new Map([
  ['text', 'text'],
  ['pg_catalog.varchar', 'varchar'],
])

/**
 * A LIKE pattern as SQL: literals, parameters, and both joined by `||`. Anything else might be costly, or change, and is
 * not evaluated twice.
 *
 * @param parameters how often each is used in the statement: where it is used elsewhere too, that use decides its type
 * @returns undefined when it is something else, or begins with a wildcard
 */
export function patternText(pattern: Node, parameters: ReadonlyMap<number, number>): string | undefined {
  return beginsWithWildcard(pattern) ? undefined : write(pattern, parameters, 0)
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

function write(node: Node, parameters: ReadonlyMap<number, number>, depth: number): string | undefined {
  if (depth > depthMax) return undefined
  const writeAll = (parts: readonly (Node | undefined)[]) => {
    const texts = parts.map((part) => part && write(part, parameters, depth + 1))
    return texts.every((text) => text !== undefined) ? texts : undefined
  }
  if ('ParamRef' in node) {
    const { number = 0 } = node.ParamRef
    return parameters.get(number) === 1 ? `$${number}` : undefined
  }
  if ('A_Const' in node) return node.A_Const.sval && quoteLiteral(node.A_Const.sval.sval ?? '').trim()
  if ('TypeCast' in node) {
    const { arg, typeName } = node.TypeCast
    const type = textTypes.get(namesOf(typeName?.names)?.join('.') ?? '')
    const plain = typeName?.typmods === undefined && typeName?.arrayBounds === undefined
    const [inside] = (type !== undefined && plain && writeAll([arg])) || []
    return inside && `${inside}::${type}`
  }
  if ('FuncCall' in node) {
    const { funcname, args = [] } = node.FuncCall
    // What the grammar makes of ESCAPE.
    const escapes = namesOf(funcname)?.join('.') === 'pg_catalog.like_escape' && args.length === 2
    const parts = escapes ? writeAll(args) : undefined
    return parts && `pg_catalog.like_escape(${parts.join(', ')})`
  }
  if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP') return undefined
  const joins = namesOf(node.A_Expr.name)?.join('.') === '||'
  const parts = joins ? writeAll([node.A_Expr.lexpr, node.A_Expr.rexpr]) : undefined
  return parts && `(${parts.join(' || ')})`
}
