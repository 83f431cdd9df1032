import type { Node } from 'libpg-query'
import { lastName } from './node-names.ts'

/**
 * The parts that PostgreSQL makes the default name of an index of: its columns, with those of INCLUDE, and for
 * expressions what a result column of the same expression would be called.
 *
 * @returns undefined where the rule is not as simple as that
 */
export function columnNames(parameters: readonly Node[]): readonly string[] | undefined {
  const names: string[] = []
  for (const parameter of parameters) {
    if (!('IndexElem' in parameter)) return undefined
    const { name: column, expr } = parameter.IndexElem
    const name = column ?? expressionName(expr)
    if (name === undefined) return undefined
    names.push(numbered(name, names))
  }
  return names
}

/** As FigureIndexColname() and its caller in PostgreSQL's parse_target.c and indexcmds.c. */
function expressionName(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined
  if ('FuncCall' in node) return lastName(node.FuncCall.funcname) || undefined
  if ('ColumnRef' in node) return lastName(node.ColumnRef.fields) || undefined
  if ('CollateClause' in node) return expressionName(node.CollateClause.arg)
  if ('CoalesceExpr' in node) return 'coalesce'
  if ('TypeCast' in node) {
    const { arg, typeName } = node.TypeCast
    return arg && 'FuncCall' in arg
      ? expressionName(arg)
      : (columnOf(arg) ?? (lastName(typeName?.names) || undefined))
  }
  if ('A_Expr' in node) return node.A_Expr.kind === 'AEXPR_NULLIF' ? 'nullif' : 'expr'
  return 'BoolExpr' in node || 'NullTest' in node || 'A_Const' in node ? 'expr' : undefined
}

/** A cast column keeps its name; a cast of anything else is named by the type. */
function columnOf(node: Node | undefined): string | undefined {
  return node && 'ColumnRef' in node ? expressionName(node) : undefined
}

function numbered(name: string, taken: readonly string[]): string {
  let candidate = name
  for (let number = 1; taken.includes(candidate); number += 1) candidate = `${name}${number}`
  return candidate
}
