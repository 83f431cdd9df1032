/** One table or view of a place, as far as rewriting must know it. Names are as stored, unquoted. */
export interface TableShape {
  /** In their order; the last one of a tenant table is `tenant_id`. */
  readonly columns: readonly string[]
  /** Columns of a primary key that PostgreSQL takes for a functional dependency; empty without one. */
  readonly key: readonly string[]
  /** Columns in which an index finds a prefix, though the policy keeps LIKE from it. */
  readonly prefixes: readonly string[]
  /** Columns whose `@@` an index serves, though the policy keeps it from it. */
  readonly words: readonly string[]
  /** Columns whose `@>` an index serves, though the policy keeps it from it. */
  readonly documents: readonly string[]
  /** Columns whose LIKE and ILIKE a trigram index serves, though the policy keeps it from them. */
  readonly trigrams: readonly string[]
}

/** What the place of a tenant holds. */
export interface PlaceShape {
  readonly tables: Readonly<Record<string, TableShape>>
  /** Names that are aggregate functions, whatever their arguments. */
  readonly aggregates: readonly string[]
}

/** A shape, and the schema whose tables it describes: for names that are qualified with it. */
export interface Place {
  readonly schemaName: string
  readonly shape: PlaceShape
}

/** The table of that name in the place, if any. */
export function findTable(shape: PlaceShape, name: string): TableShape | undefined {
  return Object.hasOwn(shape.tables, name) ? shape.tables[name] : undefined
}

/** The column that every tenant table ends with and every key of it contains. */
export const TENANT_COLUMN = 'tenant_id'
