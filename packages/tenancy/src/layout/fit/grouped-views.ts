import type { ViewStmt } from 'libpg-query'
import { completeGroupBy } from '../../session/rewrite/group-by.ts'
import type { Place, TableShape } from '../../session/rewrite/place-shape.ts'
import { queriesOf } from '../../session/rewrite/tree.ts'
import { TENANT_COLUMN } from '../shape.ts'
import type { KnownTables } from './known-tables.ts'
import type { Edit, SourceText } from './source-text.ts'

/** Whether there is any GROUP BY in it. */
export function groups(view: ViewStmt): boolean {
  return queriesOf(view).some(
    (query) => query.kind === 'SelectStmt' && (query.body.groupClause ?? []).length > 0,
  )
}

/** What a query of the application gets: tenant_id in each GROUP BY that relies on the key of a complete table. */
export function groupByTenant(source: SourceText, known: KnownTables, view: ViewStmt): Edit[] {
  const place: Place = {
    schemaName: known.schema,
    // Without the aggregates, what they are of counts as selected: then tenant_id is grouped by for nothing.
    shape: { tables: Object.fromEntries(known.all().map(tableShape)), aggregates: [] },
  }
  return queriesOf(view)
    .flatMap((query) => completeGroupBy(query, place, source))
    .map(({ at, inserted }) => ({ start: at, end: at, text: inserted }))
}

function tableShape([name, { columns, keys }]: ReturnType<KnownTables['all']>[number]): [string, TableShape] {
  const primary = keys.find((key) => key.primary)?.columns ?? []
  const key = primary.length === 0 ? [] : [...primary, TENANT_COLUMN]
  return [
    name,
    {
      columns: columns.map((column) => column.name),
      key: key.flatMap((part) => columns.find(({ was }) => was === part)?.name ?? []),
      prefixes: [],
      words: [],
      documents: [],
      trigrams: [],
    },
  ]
}
