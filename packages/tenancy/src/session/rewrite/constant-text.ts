import type { Node } from 'libpg-query'
import { quoteLiteral } from '../../identifiers.ts'
import { namesOf } from './tree.ts'

/** Deeper ones are left alone. */
const depthMax = 20

/** What may stand in an expression beside literals, parameters and `||`. */
export interface ConstantWords {
  /** Types that may be cast to, as the parser names them, with how they are written. */
  readonly types: ReadonlyMap<string, string>
  /** Functions as the parser names them, with how they are written. */
  readonly functions: ReadonlyMap<string, string>
}

/**
 * An expression as SQL: literals, parameters, casts, functions that are cheap and cannot change, and what is joined by `||`.
 * Anything else might be costly, or change, and is not evaluated twice.
 *
 * @param parameters how often each is used in the statement: where it is used elsewhere too, that use decides its type
 * @returns undefined when it is something else
 */
export function constantText(
  node: Node,
  parameters: ReadonlyMap<number, number>,
  words: ConstantWords,
  depth = 0,
): string | undefined {
  if (depth > depthMax) return undefined
  const writeAll = (parts: readonly (Node | undefined)[]) => {
    const texts = parts.map((part) => part && constantText(part, parameters, words, depth + 1))
    return texts.every((text) => text !== undefined) ? texts : undefined
  }
  if ('ParamRef' in node) {
    const { number = 0 } = node.ParamRef
    return parameters.get(number) === 1 ? `$${number}` : undefined
  }
  if ('A_Const' in node) return node.A_Const.sval && quoteLiteral(node.A_Const.sval.sval ?? '').trim()
  if ('TypeCast' in node) {
    const { arg, typeName } = node.TypeCast
    const type = words.types.get(namesOf(typeName?.names)?.join('.') ?? '')
    const plain = typeName?.typmods === undefined && typeName?.arrayBounds === undefined
    const [inside] = (type !== undefined && plain && writeAll([arg])) || []
    return inside && `${inside}::${type}`
  }
  if ('FuncCall' in node) {
    const { funcname, args = [], ...others } = node.FuncCall
    const name = words.functions.get(namesOf(funcname)?.join('.') ?? '')
    const plain = Object.keys(others).every((key) => key === 'funcformat' || key === 'location')
    const parts = name !== undefined && plain ? writeAll(args) : undefined
    return parts && `${name}(${parts.join(', ')})`
  }
  if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP') return undefined
  const joins = namesOf(node.A_Expr.name)?.join('.') === '||'
  const parts = joins ? writeAll([node.A_Expr.lexpr, node.A_Expr.rexpr]) : undefined
  return parts && `(${parts.join(' || ')})`
}
