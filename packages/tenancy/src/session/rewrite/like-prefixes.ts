import type { A_Expr, Node } from 'libpg-query'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { FromClause, type ResolvedColumn } from './from-clause.ts'
import { patternText } from './like-pattern.ts'
import type { Place } from './place-shape.ts'
import { behindKeywords, type SourceText } from './source-text.ts'
import { conjunctsOf, firstLocation, nameNode, namesOf, type Query } from './tree.ts'

/** A condition, and what holds it. */
interface Condition {
  readonly keyword: 'where' | 'on'
  readonly owner: { whereClause?: Node } | { quals?: Node }
  readonly node: Node | undefined
}

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

function addCondition({ owner, keyword }: Condition, added: Node): void {
  const holder = owner as { whereClause?: Node; quals?: Node }
  const field = keyword === 'where' ? 'whereClause' : 'quals'
  const present = holder[field]
  if (present) holder[field] = { BoolExpr: { boolop: 'AND_EXPR', args: [added, present] } }
}

/** Where rows are chosen: WHERE and the ON of joins. */
function conditionsOf({ kind, body }: Query): { tables: readonly Node[]; conditions: Condition[] } {
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

function likeOf(node: Node): A_Expr | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const isOperator = expression?.kind === 'AEXPR_LIKE' || expression?.kind === 'AEXPR_OP'
  return isOperator && namesOf(expression?.name)?.join('.') === '~~' ? expression : undefined
}
