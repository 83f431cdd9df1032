import type { Node } from 'libpg-query'
import type { Query } from './tree.ts'

/** A condition, and what holds it. */
export interface Condition {
  readonly keyword: 'where' | 'on'
  readonly owner: { whereClause?: Node } | { quals?: Node }
  readonly node: Node | undefined
}

/** Puts one more condition in front, for the comparison with the text. */
export function addCondition({ owner, keyword }: Condition, added: Node): void {
  const holder = owner as { whereClause?: Node; quals?: Node }
  const field = keyword === 'where' ? 'whereClause' : 'quals'
  const present = holder[field]
  if (present) holder[field] = { BoolExpr: { boolop: 'AND_EXPR', args: [added, present] } }
}

/** Where rows are chosen: WHERE and the ON of joins. */
export function conditionsOf({ kind, body }: Query): { tables: readonly Node[]; conditions: Condition[] } {
  if (kind === 'InsertStmt' || kind === 'MergeStmt') return { tables: [], conditions: [] }
  const others = kind === 'DeleteStmt' ? body.usingClause : body.fromClause
  const target = kind === 'SelectStmt' || body.relation === undefined ? [] : [{ RangeVar: body.relation }]
  const tables = [...target, ...(others ?? [])]
  const where: Condition = { keyword: 'where', owner: body, node: body.whereClause }
  return { tables, conditions: [where, ...joinsIn(tables)].filter(({ node }) => node !== undefined) }
}

function joinsIn(tables: readonly Node[]): Condition[] {
  const found: Condition[] = []
  const waiting = [...tables]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (!('JoinExpr' in next)) continue
    const { larg, rarg, quals } = next.JoinExpr
    waiting.push(...[larg, rarg].filter((arm) => arm !== undefined))
    found.push({ keyword: 'on', owner: next.JoinExpr, node: quals })
  }
  return found
}
