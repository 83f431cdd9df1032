import type { JoinExpr, Node, RangeVar } from 'libpg-query'
import { findTable, type Place, type TableShape } from './place-shape.ts'
import { namesOf } from './tree.ts'

/** A table of the place in a FROM clause. */
export interface TableReference {
  /** What its columns are qualified with there. */
  readonly name: string
  /** Schema by which it may be qualified further; undefined for an alias. */
  readonly schemaName: string | undefined
  readonly table: TableShape
  /** Its columns as they are called there, an alias may rename them; in the table's order. */
  readonly columns: readonly string[]
}

/** A column of a table of the place. */
export interface ResolvedColumn {
  readonly reference: TableReference
  /** As the table calls it. */
  readonly column: string
}

interface Item {
  /** Tables whose columns can be qualified here. */
  readonly references: readonly TableReference[]
  /** Holds nothing but tables of the place, so that a name found in none of them is no column. */
  readonly complete: boolean
  resolve(column: string): ResolvedColumn | undefined
}

/** The FROM clause of one query: finds out which table of the place a column reference means. */
export class FromClause {
  readonly #items: readonly Item[]

  /** @param hidden names that a WITH has taken from tables */
  constructor(nodes: readonly Node[], place: Place, hidden: ReadonlySet<string>) {
    this.#items = nodes.map((node) => readItem(node, place, hidden))
  }

  get references(): readonly TableReference[] {
    return this.#items.flatMap(({ references }) => references)
  }

  get complete(): boolean {
    return this.#items.every(({ complete }) => complete)
  }

  /** @param names the parts of a column reference */
  resolve(names: readonly string[]): ResolvedColumn | undefined {
    const column = names.at(-1) ?? ''
    if (names.length === 1) {
      return this.#items.map((item) => item.resolve(column)).find((found) => found !== undefined)
    }
    const [name, schemaName] = names.slice(0, -1).toReversed()
    const reference = this.references.find(
      (candidate) =>
        candidate.name === name && (schemaName === undefined || candidate.schemaName === schemaName),
    )
    return reference && resolveIn(reference, column)
  }
}

const nothing: Item = { references: [], complete: false, resolve: () => undefined }

function readItem(node: Node, place: Place, hidden: ReadonlySet<string>): Item {
  if ('RangeVar' in node) return readTable(node.RangeVar, place, hidden)
  if ('RangeTableSample' in node && node.RangeTableSample.relation) {
    return readItem(node.RangeTableSample.relation, place, hidden)
  }
  if ('JoinExpr' in node) return readJoin(node.JoinExpr, place, hidden)
  return nothing
}

function readTable(relation: RangeVar, place: Place, hidden: ReadonlySet<string>): Item {
  const reference = referenceTo(relation, place, hidden)
  if (reference === undefined) return nothing
  return { references: [reference], complete: true, resolve: (column) => resolveIn(reference, column) }
}

/** @returns undefined for what is no table of the place */
export function referenceTo(
  relation: RangeVar,
  { schemaName, shape }: Place,
  hidden: ReadonlySet<string>,
): TableReference | undefined {
  const { catalogname, schemaname, relname = '', alias } = relation
  const elsewhere = schemaname === undefined ? hidden.has(relname) : schemaname !== schemaName
  const table = elsewhere || catalogname !== undefined ? undefined : findTable(shape, relname)
  if (table === undefined) return undefined
  const renamed = namesOf(alias?.colnames) ?? []
  return {
    name: alias?.aliasname ?? relname,
    schemaName: alias === undefined ? schemaName : undefined,
    table,
    columns: table.columns.map((column, at) => renamed[at] ?? column),
  }
}

function readJoin(join: JoinExpr, place: Place, hidden: ReadonlySet<string>): Item {
  const { larg, rarg, jointype, isNatural, usingClause, alias } = join
  // An alias of the join hides its tables.
  if (larg === undefined || rarg === undefined || alias !== undefined) return nothing
  const left = readItem(larg, place, hidden)
  const right = readItem(rarg, place, hidden)
  const using = namesOf(usingClause) ?? []
  return {
    references: [...left.references, ...right.references],
    complete: left.complete && right.complete,
    resolve: (column) => {
      const [first, second] = [left.resolve(column), right.resolve(column)]
      const merged =
        using.includes(column) || (isNatural === true && first !== undefined && second !== undefined)
      if (!merged) return first ?? second
      // PostgreSQL takes the side that is never null-extended for the merged column; of a full join it is neither.
      if (jointype === 'JOIN_FULL') return undefined
      return jointype === 'JOIN_RIGHT' ? second : first
    },
  }
}

function resolveIn(reference: TableReference, name: string): ResolvedColumn | undefined {
  const column = reference.table.columns[reference.columns.indexOf(name)]
  return column === undefined ? undefined : { reference, column }
}
