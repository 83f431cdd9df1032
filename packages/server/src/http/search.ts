import { type RawBuilder, sql } from 'kysely'

/**
 * Matches rows in which one of the expressions contains the text, in any case; % _ \ in it stand for themselves.
 */
export function contains(expressions: readonly RawBuilder<unknown>[], text: string): RawBuilder<boolean> {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  const matches = expressions.map((expression) => sql`${expression} ilike ${pattern}`)
  return sql<boolean>`(${sql.join(matches, sql` or `)})`
}
