import pg from 'pg'
import { type Catalog, type Constraint, type Relation, tablesOf } from '../check/catalog.ts'

/**
 * A statement that a constraint must forbid. It is tried on the original too: what counts is that a tenant gets the
 * same answer, whatever else the row meets on its way (a trigger, another constraint).
 */
export interface Probe {
  /** `schema.table.constraint` of the original. */
  readonly object: string
  readonly table: RelationName
  /** The referenced table of a foreign key. */
  readonly parent?: RelationName
  /** Constraints and columns without which it would prove nothing. */
  readonly needs: readonly string[]
  /** @param relation gives the quoted name of a relation of the original */
  readonly text: (relation: (schema: string, name: string) => string) => string
}

interface RelationName {
  readonly schema: string
  readonly name: string
}

type NameOf = Parameters<Probe['text']>[0]

/** @param violate finds a value that violates a check of one column, as text; null when there is none at hand */
export async function planProbes(
  catalog: Catalog,
  violate: (table: Relation, constraint: Constraint) => Promise<string | null>,
): Promise<Probe[]> {
  const probes: Probe[] = []
  for (const table of tablesOf(catalog)) {
    const constraints = catalog.constraints.filter(
      (item) => item.schema === table.schema && item.table === table.name,
    )
    const order = rowOrder(table, constraints)
    if (order === null) continue
    const keys = constraints.filter(({ type }) => 'pux'.includes(type)).map(({ name }) => name)
    probes.push(...duplicateRow(table, keys, order), ...missingValues(table, order))
    for (const constraint of constraints) {
      if (['p', 'u', 'x'].includes(constraint.type)) probes.push(...duplicateKey(table, constraint, order))
      if (constraint.type === 'f') probes.push(...orphan(table, constraint, order))
      if (constraint.type === 'c') {
        const value = constraint.columns.length === 1 ? await violate(table, constraint) : null
        if (value !== null) probes.push(violation(table, constraint, order, value))
      }
    }
  }
  return probes
}

/** Values that checks often forbid, to be tried with the check itself. */
const violatingCandidates = ['', '-1', '0', '-999999', '999999', '1000-01-01', '~', 'f', 't', '{}', '[]']

interface Order {
  /** Columns that name one row, quoted. */
  readonly key: string
  readonly orderBy: string
}

/** The same row on both sides; without a primary key, by its physical place. */
function rowOrder(table: Relation, constraints: readonly Constraint[]): Order | null {
  const key = constraints.find(({ type }) => type === 'p')
  if (key) {
    const list = key.columns.map(pg.escapeIdentifier).join(', ')
    return { key: list, orderBy: ` order by ${list}` }
  }
  return table.kind === 'r' ? { key: 'ctid', orderBy: '' } : null
}

function nth(on: string, { key, orderBy }: Order, offset: number): string {
  return `(${key}) = (select ${key} from ${on}${orderBy} offset ${offset} limit 1)`
}

function duplicateRow(table: Relation, keys: readonly string[], { orderBy }: Order): Probe[] {
  const columns = table.columns
    .filter(({ generated }) => generated === '')
    .map(({ name }) => pg.escapeIdentifier(name))
  if (columns.length === 0) return []
  const list = columns.join(', ')
  return [
    {
      object: `${table.schema}.${table.name}`,
      table,
      needs: [...keys, ...table.columns.map(({ name }) => name)],
      text: (nameOf) => {
        const on = nameOf(table.schema, table.name)
        return `insert into ${on} (${list}) overriding system value select ${list} from ${on}${orderBy} limit 1`
      },
    },
  ]
}

function missingValues(table: Relation, order: Order): Probe[] {
  return table.columns
    .filter(({ notNull, identity, generated }) => notNull && identity !== 'a' && generated === '')
    .map(({ name }) => ({
      object: `${table.schema}.${table.name}.${name}`,
      table,
      needs: [name],
      text: (nameOf) => {
        const on = nameOf(table.schema, table.name)
        return `update ${on} set ${pg.escapeIdentifier(name)} = null where ${nth(on, order, 0)}`
      },
    }))
}

/** The second row takes the key of the first. */
function duplicateKey(table: Relation, constraint: Constraint, order: Order): Probe[] {
  const { columns, expressions } = constraint
  if (expressions || columns.length === 0) return []
  const list = columns.map(pg.escapeIdentifier).join(', ')
  const filled = columns.map((name) => `${pg.escapeIdentifier(name)} is not null`).join(' and ')
  return [
    {
      object: `${table.schema}.${table.name}.${constraint.name}`,
      table,
      needs: [constraint.name],
      text: (nameOf) => {
        const on = nameOf(table.schema, table.name)
        const first = `(select ${list} from ${on} where ${filled}${order.orderBy} limit 1)`
        return `update ${on} set (${list}) = ${first} where ${nth(on, order, 1)}`
      },
    },
  ]
}

const integers = new Set(['smallint', 'integer', 'bigint'])

function orphan(table: Relation, constraint: Constraint, order: Order): Probe[] {
  const column = constraint.columns.at(-1)
  const parentColumn = constraint.parentColumns.at(-1)
  const type = table.columns.find(({ name }) => name === column)?.type ?? ''
  if (column === undefined || parentColumn === undefined) return []
  const value = (nameOf: NameOf) => {
    const parent = nameOf(constraint.parentSchema ?? '', constraint.parent ?? '')
    const key = pg.escapeIdentifier(parentColumn)
    if (integers.has(type) || type.startsWith('numeric'))
      return `(select coalesce(max(${key}), 0) + 1 from ${parent})`
    if (type === 'uuid') return `'00000000-0000-4000-8000-00000000dead'`
    if (type === 'text' || type.startsWith('character')) return `'~'`
    if (type === 'date' || type.startsWith('timestamp')) return `'1000-01-01'`
    return null
  }
  if (value((_, name) => name) === null) return []
  const parent = { schema: constraint.parentSchema ?? '', name: constraint.parent ?? '' }
  return [
    {
      parent,
      object: `${table.schema}.${table.name}.${constraint.name}`,
      table,
      needs: [constraint.name],
      text: (nameOf) => {
        const on = nameOf(table.schema, table.name)
        return `update ${on} set ${pg.escapeIdentifier(column)} = ${value(nameOf)} where ${nth(on, order, 0)}`
      },
    },
  ]
}

function violation(table: Relation, constraint: Constraint, order: Order, value: string): Probe {
  const column = pg.escapeIdentifier(constraint.columns[0] ?? '')
  return {
    object: `${table.schema}.${table.name}.${constraint.name}`,
    table,
    needs: [constraint.name],
    text: (nameOf) => {
      const on = nameOf(table.schema, table.name)
      return `update ${on} set ${column} = ${pg.escapeLiteral(value)} where ${nth(on, order, 0)}`
    },
  }
}

/** Finds, with the original's own check, a value that it forbids. */
export async function findViolation(
  client: pg.ClientBase,
  table: Relation,
  constraint: Constraint,
): Promise<string | null> {
  const column = constraint.columns[0] ?? ''
  const type = table.columns.find(({ name }) => name === column)?.type
  if (type === undefined || constraint.expression === null) return null
  for (const candidate of violatingCandidates) {
    const found = await client
      .query(
        `select from (select ${pg.escapeLiteral(candidate)}::${type} as ${pg.escapeIdentifier(column)}) as ${pg.escapeIdentifier(table.name)}
          where not (${constraint.expression})`,
      )
      .catch((error: unknown) => {
        // Not a value of this type, or the check itself fails on it.
        if (error instanceof pg.DatabaseError) return null
        throw error
      })
    if (found?.rowCount === 1) return candidate
  }
  return null
}

/** Statement that finds a row whose reference leads nowhere. */
export function orphanQuery(constraint: Constraint, nameOf: NameOf): string {
  const child = nameOf(constraint.schema, constraint.table)
  const parent = nameOf(constraint.parentSchema ?? '', constraint.parent ?? '')
  const pairs = constraint.columns.map((name, at) => ({
    own: `child.${pg.escapeIdentifier(name)}`,
    key: `parent.${pg.escapeIdentifier(constraint.parentColumns[at] ?? '')}`,
  }))
  const filled = pairs.map(({ own }) => `${own} is not null`).join(' and ')
  // Several rows together may cover a period.
  const [period] = constraint.period ? pairs.slice(-1) : []
  const equal = (period ? pairs.slice(0, -1) : pairs).map(({ own, key }) => `${key} = ${own}`).join(' and ')
  const found = period
    ? `coalesce((select range_agg(${period.key}) @> ${period.own} from ${parent} as parent where ${equal}), false)`
    : `exists (select from ${parent} as parent where ${equal})`
  return `select count(*)::text as rows from ${child} as child where ${filled} and not ${found}`
}
