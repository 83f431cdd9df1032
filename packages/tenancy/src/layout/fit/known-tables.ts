import type { RangeVar } from 'libpg-query'
import { type Shape, TENANT_COLUMN } from '../shape.ts'

/** A table that earlier migrations made and the layout completed. */
export interface KnownTable {
  readonly oid: string
  readonly name: string
  readonly partitioned: boolean
  readonly keys: readonly KnownKey[]
  /** With tenant_id; `was` is what keys call them. */
  readonly columns: readonly { readonly name: string; readonly was: string }[]
}

/** A key as its author wrote it, without tenant_id. */
export interface KnownKey {
  readonly oid: string
  readonly primary: boolean
  /** The last column is a range. */
  readonly temporal: boolean
  readonly columns: readonly string[]
}

/** The complete tables of a schema by the names they have as a migration goes on. */
export class KnownTables {
  readonly schema: string
  readonly #tables: Map<string, KnownTable>
  readonly #made = new Set<string>()
  readonly #names: Set<string>
  readonly #any: boolean

  private constructor(schema: string, tables: readonly KnownTable[], names: Set<string>, any: boolean) {
    this.schema = schema
    this.#tables = new Map(tables.map((table) => [table.name, table]))
    this.#names = names
    this.#any = any
  }

  /** Before the database is asked: every table that the migration does not make itself may be one. */
  static any(schema: string): KnownTables {
    return new KnownTables(schema, [], new Set(), true)
  }

  static of({ schema, tables, views, sequences }: Shape): KnownTables {
    // Keys of a reference table are as their author wrote them.
    const known = tables.filter((table) => table.known && !table.shared)
    const names = [...tables, ...views, ...sequences, ...tables.flatMap(({ indexes }) => indexes)].map(
      ({ name }) => name,
    )
    return new KnownTables(schema.name, known.map(knownTable), new Set(names), false)
  }

  find({ schemaname, relname = '' }: RangeVar): KnownTable | undefined {
    if (schemaname !== undefined && schemaname !== this.schema) return undefined
    if (this.#any && !this.#made.has(relname))
      return { oid: '0', name: relname, partitioned: false, keys: [], columns: [] }
    return this.#tables.get(relname)
  }

  /** Takes a name for an index, unless another relation has it. */
  take(name: string): boolean {
    const free = !this.#names.has(name)
    this.#names.add(name)
    return free
  }

  release(name: string): void {
    this.#names.delete(name)
  }

  /** The name means another table from here on, or none. */
  forget(name: string): void {
    this.#tables.delete(name)
    this.#made.add(name)
  }

  /** Those whose names mean them now. */
  all(): readonly (readonly [name: string, table: KnownTable])[] {
    return [...this.#tables]
  }

  addColumn(table: string, column: string): void {
    this.#change(table, (known) => ({ ...known, columns: [...known.columns, { name: column, was: '' }] }))
  }

  renameColumn(table: string, from: string, to: string): void {
    this.#change(table, (known) => ({
      ...known,
      columns: known.columns.map((column) => (column.name === from ? { ...column, name: to } : column)),
    }))
  }

  #change(name: string, change: (table: KnownTable) => KnownTable): void {
    const table = this.#tables.get(name)
    if (table) this.#tables.set(name, change(table))
  }

  rename(from: string, to: string): void {
    const table = this.#tables.get(from)
    this.forget(from)
    if (table) this.#tables.set(to, table)
  }
}

function knownTable(table: Shape['tables'][number]): KnownTable {
  const { oid, name, kind, indexes, constraints, columns } = table
  const primary = constraints.find(({ type }) => type === 'p')?.indexOid
  return {
    oid,
    name,
    partitioned: kind === 'p',
    columns: columns.map((column) => ({ name: column.name, was: column.name })),
    keys: indexes
      .filter(
        ({ unique, predicate, keys }) => unique && predicate === null && keys.every(({ column }) => column),
      )
      .map((index) => ({
        oid: index.oid,
        primary: index.oid === primary,
        temporal: index.withoutOverlaps,
        columns: index.keys
          .flatMap(({ column }) => column ?? [])
          .filter((column) => column !== TENANT_COLUMN),
      }))
      .filter(({ columns }) => columns.length > 0),
  }
}
