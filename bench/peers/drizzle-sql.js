import { sql } from 'drizzle-orm'

/** A text with $1, $2 … as Drizzle's SQL. */
export function toSql({ text, values }) {
  const parts = text.split(/\$(\d+)/)
  return sql.join(parts.map((part, index) => (index % 2 === 0 ? sql.raw(part) : sql.param(values[part - 1]))))
}
