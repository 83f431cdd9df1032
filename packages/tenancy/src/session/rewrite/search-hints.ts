import type { Node } from 'libpg-query'
import { addOperators } from './added-operators.ts'
import type { Change } from './change.ts'
import { type ConstantWords, constantText } from './constant-text.ts'
import { likeWords } from './like-pattern.ts'
import type { Place, TableShape } from './place-shape.ts'
import type { SourceText } from './source-text.ts'
import { namesOf, type Query } from './tree.ts'

/** A search that the policy keeps from its index, and the hint that is made of its right side. */
interface Search {
  readonly operator: string
  readonly called: string
  readonly columns: (table: TableShape) => readonly string[]
  readonly words: ConstantWords
}

const named = (...names: string[]) => new Map(names.map((name) => [name, name]))
const varchar = ['pg_catalog.varchar', 'varchar'] as const
const literals: ConstantWords = {
  types: new Map([...named('text', 'tsquery', 'jsonb', 'regconfig'), varchar]),
  functions: named('to_tsquery', 'plainto_tsquery', 'phraseto_tsquery', 'websearch_to_tsquery'),
}
const patterns: Search = {
  operator: '~~',
  called: 'bound_pattern',
  columns: ({ trigrams }) => trigrams,
  words: likeWords,
}
const searches: Readonly<Record<string, Search>> = {
  '@@': { operator: '@@', called: 'bound_query', columns: ({ words }) => words, words: literals },
  '@>': { operator: '@>', called: 'bound_document', columns: ({ documents }) => documents, words: literals },
  '~~': patterns,
  '~~*': patterns,
}
/** As they are written. */
const spoken: Readonly<Record<string, string>> = { '~~': 'LIKE', '~~*': 'ILIKE' }

/**
 * `words @@ query`, `data @> part` and `body LIKE pattern` are evaluated after the policy, because they are not LEAKPROOF,
 * and so never inside an index. The operators of sql/tenant-database/0009_search_hints.sql and the next file are, and lead
 * an index to the same rows. They are added, never put in place.
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
      if (!search?.columns(reference.table).includes(column)) return undefined
      const value = constantText(right, parameters, search.words)
      if (value === undefined) return undefined
      const reason = `row security keeps ${spoken[operator] ?? operator} from the index on ${column}, and lets this one use it`
      const hint = ['quickscale', search.operator]
      return { kind: 'search-hint', operator: hint, called: search.called, value, reason }
    },
  })
}

function searchOf(node: Node): string | undefined {
  const expression = 'A_Expr' in node ? node.A_Expr : undefined
  const operator = namesOf(expression?.name)?.join('.') ?? ''
  const kinds: readonly unknown[] = ['AEXPR_OP', 'AEXPR_LIKE', 'AEXPR_ILIKE']
  return kinds.includes(expression?.kind) && Object.hasOwn(searches, operator) ? operator : undefined
}
