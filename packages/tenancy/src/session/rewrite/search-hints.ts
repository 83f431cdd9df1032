import type { A_Expr, Node } from 'libpg-query'
import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { addCondition, type Condition, conditionsOf } from './conditions.ts'
import { constantText } from './constant-text.ts'
import { FromClause, type ResolvedColumn } from './from-clause.ts'
import type { Place, TableShape } from './place-shape.ts'
import { behindKeywords, type SourceText } from './source-text.ts'
import { conjunctsOf, firstLocation, nameNode, namesOf, type Query } from './tree.ts'

/** A search that the policy keeps from its index, and the function that makes a hint of its right side. */
interface Search {
  readonly hint: string
  readonly columns: (table: TableShape) => readonly string[]
}

const searches: Readonly<Record<string, Search>> = {
  '@@': { hint: 'bound_query', columns: ({ words }) => words },
  '@>': { hint: 'bound_document', columns: ({ documents }) => documents },
}

const named = (...names: string[]) => new Map(names.map((name) => [name, name]))
const words = {
  types: new Map([...named('text', 'tsquery', 'jsonb', 'regconfig'), ['pg_catalog.varchar', 'varchar']]),
  functions: named('to_tsquery', 'plainto_tsquery', 'phraseto_tsquery', 'websearch_to_tsquery'),
}

/**
 * `words @@ query` and `data @> part` are evaluated after the policy, because they are not LEAKPROOF, and so never inside
 * an index. The operators of sql/tenant-database/0009_search_hints.sql are, and lead an index to the same rows. They are
 * added, never put in place.
 */
export function addSearchHints(
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
      const found = searchOf(conjunct)
      const names =
        found?.lexpr && 'ColumnRef' in found.lexpr ? namesOf(found.lexpr.ColumnRef.fields) : undefined
      const column = names && from.resolve(names)
      if (!found?.rexpr || !column) return []
      const { operator, rexpr } = found
      const search = searches[operator]
      const value = constantText(rexpr, parameters, words)
      if (!search?.columns(column.reference.table).includes(column.column) || value === undefined) return []
      return [addHint(column, { operator, hint: search.hint, rexpr, value }, condition, at)]
    })
  })
}

function addHint(
  { reference, column }: ResolvedColumn,
  { operator, hint, rexpr, value }: { operator: string; hint: string; rexpr: Node; value: string },
  condition: Condition,
  at: number,
): Change {
  const name = reference.columns[reference.table.columns.indexOf(column)] ?? column
  const called = `${quoteIdentifier(reference.name)}.${quoteIdentifier(name)}`
  return {
    kind: 'search-hint',
    at,
    inserted: ` ${called} operator(quickscale.${operator}) quickscale.${hint}(${value}) and`,
    reason: `row security keeps ${operator} from the index on ${column}, and lets this one use it`,
    apply: () =>
      addCondition(condition, {
        A_Expr: {
          kind: 'AEXPR_OP',
          name: [nameNode('quickscale'), nameNode(operator)],
          lexpr: { ColumnRef: { fields: [nameNode(reference.name), nameNode(name)] } },
          rexpr: {
            FuncCall: {
              funcname: [nameNode('quickscale'), nameNode(hint)],
              args: [rexpr],
              funcformat: 'COERCE_EXPLICIT_CALL',
            },
          },
        },
      }),
  }
}

function searchOf(node: Node): (A_Expr & { readonly operator: string }) | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const operator = namesOf(expression?.name)?.join('.') ?? ''
  return expression?.kind === 'AEXPR_OP' && Object.hasOwn(searches, operator)
    ? { ...expression, operator }
    : undefined
}
