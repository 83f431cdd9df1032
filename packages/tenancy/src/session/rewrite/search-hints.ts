import type { Node } from 'libpg-query'
import { addOperators } from './added-operators.ts'
import type { Change } from './change.ts'
import { constantText } from './constant-text.ts'
import type { Place, TableShape } from './place-shape.ts'
import type { SourceText } from './source-text.ts'
import { namesOf, type Query } from './tree.ts'

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
  return addOperators(query, place, source, {
    operatorOf: searchOf,
    find: ({ column: { reference, column }, operator, right }) => {
      const search = searches[operator]
      const value = constantText(right, parameters, words)
      if (!search?.columns(reference.table).includes(column) || value === undefined) return undefined
      const reason = `row security keeps ${operator} from the index on ${column}, and lets this one use it`
      return { kind: 'search-hint', operator: ['quickscale', operator], called: search.hint, value, reason }
    },
  })
}

function searchOf(node: Node): string | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const operator = namesOf(expression?.name)?.join('.') ?? ''
  return expression?.kind === 'AEXPR_OP' && Object.hasOwn(searches, operator) ? operator : undefined
}
