import { quoteIdentifier } from '../../identifiers.ts'
import type { Change } from './change.ts'
import { referenceTo } from './from-clause.ts'
import { type Place, TENANT_COLUMN } from './place-shape.ts'
import type { SourceText } from './source-text.ts'
import type { Query } from './tree.ts'

const PARENTHESIS = '('.charCodeAt(0)

/** `ON CONFLICT (email)` names a key that is `(tenant_id, email)` in the table. A constraint's name needs no help. */
export function completeConflictTarget(query: Query, place: Place, { bytes }: SourceText): Change[] {
  if (query.kind !== 'InsertStmt') return []
  const { relation, onConflictClause } = query.body
  const { location, indexElems = [] } = onConflictClause?.infer ?? {}
  // What WITH names cannot be inserted into: the name means the table.
  const target = relation && referenceTo(relation, place, new Set())
  if (target === undefined || !target.table.columns.includes(TENANT_COLUMN)) return []
  const names = indexElems.map((element) => ('IndexElem' in element ? element.IndexElem.name : undefined))
  if (indexElems.length === 0 || names.includes(TENANT_COLUMN)) return []
  if (location === undefined || bytes[location] !== PARENTHESIS) return []
  return [
    {
      kind: 'conflict-target',
      at: location + 1,
      inserted: `${quoteIdentifier(TENANT_COLUMN)}, `,
      reason: `every unique key of ${relation?.relname} contains ${TENANT_COLUMN}`,
      apply: () => {
        indexElems.unshift({
          IndexElem: {
            name: TENANT_COLUMN,
            ordering: 'SORTBY_DEFAULT',
            nulls_ordering: 'SORTBY_NULLS_DEFAULT',
          },
        })
      },
    },
  ]
}
