import { TablesChanged } from '../begin-anew.ts'
import type { MovedTable } from '../tables.ts'
import type { Message, Relation, Value } from './pgoutput.ts'

/** What becomes of one row: its values in the order of the table's columns, or null when it is gone. */
export interface RowFate {
  readonly key: readonly string[]
  readonly row: readonly Value[] | null
  /** Where its unchanged large values are, when its key has changed. */
  readonly before: readonly string[] | null
}

/**
 * The changes of whole transactions, reduced to what each row is in the end. Triggers and foreign keys of the target do
 * not look at them, so the order among rows does not matter, and one row needs to be written only once.
 */
export class Changes {
  readonly #tables: ReadonlyMap<string, TableLayout>
  #fates = new Map<string, Map<string, RowFate>>()
  #count = 0

  constructor(tables: readonly MovedTable[]) {
    this.#tables = new Map(tables.map((table) => [table.name, { table, places: new WeakMap() }]))
  }

  /** Rows that have changed. */
  get count(): number {
    return this.#count
  }

  add(message: Extract<Message, { kind: 'insert' | 'update' | 'delete' }>): void {
    const layout = this.#tables.get(message.relation.name)
    if (layout === undefined) throw new TablesChanged(`table ${message.relation.name} was not there`)
    const places = placesOf(layout, message.relation)
    const keyOf = (values: readonly Value[]) => places.key.map((at) => values[at] ?? '')
    if (message.kind === 'delete') {
      this.#put(message.relation.name, { key: keyOf(message.old), row: null, before: null })
      return
    }
    const row = places.columns.map((at) => message.row[at])
    const key = keyOf(message.row)
    const old = message.kind === 'update' && message.old !== null ? keyOf(message.old) : key
    const moved = old.join('\0') !== key.join('\0')
    const earlier = this.#fates.get(message.relation.name)?.get(old.join('\0'))
    const whole = row.map((value, at) => (value === undefined ? earlier?.row?.[at] : value))
    const before = earlier?.before ?? (moved ? old : null)
    if (moved) this.#put(message.relation.name, { key: old, row: null, before: null })
    this.#put(message.relation.name, { key, row: whole, before })
  }

  /** Takes all of them out. */
  take(): ReadonlyMap<string, readonly RowFate[]> {
    const taken = new Map([...this.#fates].map(([name, fates]) => [name, [...fates.values()]]))
    this.#fates = new Map()
    this.#count = 0
    return taken
  }

  #put(table: string, fate: RowFate): void {
    const fates = this.#fates.get(table) ?? new Map<string, RowFate>()
    this.#fates.set(table, fates)
    fates.set(fate.key.join('\0'), fate)
    this.#count += 1
  }
}

interface TableLayout {
  readonly table: MovedTable
  readonly places: WeakMap<Relation, Places>
}

/** Where in a message the columns of a table are. */
interface Places {
  readonly columns: readonly number[]
  readonly key: readonly number[]
}

function placesOf({ table, places }: TableLayout, relation: Relation): Places {
  const known = places.get(relation)
  if (known !== undefined) return known
  const placeOf = (name: string) => {
    const at = relation.columns.indexOf(name)
    if (at === -1) throw new TablesChanged(`column ${table.name}.${name} is gone`)
    return at
  }
  const found = { columns: table.columns.map(({ name }) => placeOf(name)), key: table.key.map(placeOf) }
  if (relation.columns.length !== found.columns.length)
    throw new TablesChanged(`table ${table.name} has other columns`)
  places.set(relation, found)
  return found
}
