import { readFileSync } from 'node:fs'
import pg from 'pg'

const query = readFileSync(new URL('../../sql/catalog.sql', import.meta.url), 'utf8')

export interface Column {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  readonly identity: string
  readonly generated: string
  readonly default: string | null
}

export interface Relation {
  readonly schema: string
  readonly name: string
  /** r table, p partitioned table, v view. */
  readonly kind: string
  readonly columns: readonly Column[]
}

export interface Constraint {
  readonly schema: string
  readonly table: string
  readonly name: string
  /** p, u, f, c, x as pg_constraint has them. */
  readonly type: string
  readonly columns: readonly string[]
  readonly expressions: boolean
  readonly parentSchema: string | null
  readonly parent: string | null
  readonly parentColumns: readonly string[]
  readonly onUpdate: string
  readonly onDelete: string
  readonly deferrable: boolean
  readonly deferred: boolean
  readonly validated: boolean
  readonly enforced: boolean
  /** Whether the last column is a WITHOUT OVERLAPS or PERIOD. */
  readonly period: boolean
  readonly expression: string | null
}

export interface Operator {
  readonly name: string
  /** Null for a polymorphic one: then it is the type of the indexed value. */
  readonly operand: string | null
  readonly written: string
  readonly leading: string
  readonly leadingType: string
}

export interface Index {
  readonly schema: string
  readonly table: string
  readonly name: string
  readonly method: string
  readonly unique: boolean
  readonly valid: boolean
  readonly nullsNotDistinct: boolean
  readonly predicate: string | null
  readonly keys: readonly string[]
  readonly include: readonly string[]
  readonly operators: readonly Operator[]
}

export interface Sequence {
  readonly schema: string
  readonly table: string
  readonly column: string
  /** Quoted, for use in SQL under the same search_path. */
  readonly sequence: string
  readonly parameters: string
  readonly position: string
}

/** What some schemas promise. */
export interface Catalog {
  readonly relations: readonly Relation[]
  readonly constraints: readonly Constraint[]
  readonly indexes: readonly Index[]
  readonly sequences: readonly Sequence[]
}

/**
 * Reads what the schemas promise, and leaves them as the connection's search_path.
 *
 * @param options.place whether a column tenant_id is the layout's, and no leading column of an index
 */
export async function readCatalog(
  client: pg.ClientBase,
  { schemas, place }: { schemas: readonly string[]; place: boolean },
): Promise<Catalog> {
  await client.query(`set search_path to ${searchPath(schemas)}`)
  const { rows } = await client.query(query, [schemas, place])
  const catalog = rows[0] as Catalog
  const sequences: Sequence[] = []
  for (const sequence of catalog.sequences) {
    const state = await client.query<{ position: string }>(
      `select concat(last_value, ' ', is_called) as position from ${sequence.sequence}`,
    )
    sequences.push({ ...sequence, position: state.rows[0]?.position ?? '' })
  }
  return { ...catalog, sequences }
}

/** As tenants have it: what an extension made is found without its schema. */
export function searchPath(schemas: readonly string[]): string {
  return [...schemas, 'extensions'].map(pg.escapeIdentifier).join(', ')
}

export function quoted(schema: string, name: string): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`
}

export function tablesOf({ relations }: Catalog): Relation[] {
  return relations.filter(({ kind }) => kind !== 'v')
}

/** A reference table of a place: it has the same rows for all tenants, who do not write it. */
export function isShared({ kind, columns }: Relation): boolean {
  return kind !== 'v' && columns.every(({ name }) => name !== 'tenant_id')
}

export function viewsOf({ relations }: Catalog): Relation[] {
  return relations.filter(({ kind }) => kind === 'v')
}
