import { quoteIdentifier } from '../../identifiers.ts'
import {
  type Constraint,
  type Index,
  type LayoutRefusal,
  type Shape,
  type Table,
  TENANT_COLUMN,
  type Wall,
} from '../shape.ts'
import { canBeLed, completeColumns, hasCompleteColumns } from '../tenant-position.ts'
import { columnList, includedColumns, indexKey, storageOptions } from './index-body.ts'

const WITH_AN_INDEX = new Set(['p', 'u', 'x'])
const KNOWN = new Set([...WITH_AN_INDEX, 'f', 'c', 'n', 't'])

export function deferral({ deferrable, deferred }: Constraint): string {
  if (!deferrable) return ''
  return deferred ? ' deferrable initially deferred' : ' deferrable'
}

/** Primary keys, unique and exclusion constraints in which tenant_id is not where it belongs. */
export function incompleteKeys(table: Table, wall: Wall): { key: Constraint; index: Index }[] {
  if (table.shared) return []
  return table.constraints.flatMap((key) => {
    const index = table.indexes.find(({ oid }) => oid === key.indexOid)
    return WITH_AN_INDEX.has(key.type) && index && !hasCompleteColumns(wall, index) ? [{ key, index }] : []
  })
}

/** Subcommands that drop each key that is to be made again; those of partitions go with the whole table's. */
export function dropKeyClauses(table: Table, wall: Wall): string[] {
  return incompleteKeys(table, wall)
    .filter(({ key }) => key.inheritedFrom === null)
    .map(({ key }) => `drop constraint ${quoteIdentifier(key.name)}`)
}

/** Subcommands that make each key composite under its own name. */
export function addKeyClauses(table: Table, wall: Wall): string[] {
  return incompleteKeys(table, wall).map(({ key, index }) => {
    const define = key.type === 'x' ? exclusionDefinition : keyDefinition
    return `add constraint ${quoteIdentifier(key.name)} ${define(key, index, wall)}`
  })
}

function keyDefinition(key: Constraint, index: Index, wall: Wall): string {
  const kind =
    key.type === 'p' ? 'primary key' : index.nullsNotDistinct ? 'unique nulls not distinct' : 'unique'
  const columns = columnList(completeColumns(wall, index).flatMap(({ column }) => column ?? []))
  const list = key.temporal ? `${columns.slice(0, -1)} without overlaps)` : columns
  return `${kind} ${list}${includedColumns(index)}${storageOptions(index.options)}${deferral(key)}`
}

/** Two rows of different tenants never exclude each other. */
function exclusionDefinition(key: Constraint, index: Index, wall: Wall): string {
  const list = completeColumns(wall, index).map((part) => {
    const [schema, name] = key.operators[index.keys.indexOf(part)] ?? ['pg_catalog', '=']
    return `${indexKey(part)} with operator(${quoteIdentifier(schema)}.${name})`
  })
  const where = index.predicate === null ? '' : ` where (${index.predicate})`
  return `exclude using ${quoteIdentifier(index.method)} (${list.join(', ')})${includedColumns(index)}${storageOptions(index.options)}${where}${deferral(key)}`
}

export function refuseKeys(shape: Shape): LayoutRefusal[] {
  return shape.tables.flatMap((table) =>
    table.constraints
      .filter(({ inheritedFrom }) => inheritedFrom === null)
      .flatMap((constraint) => refuseConstraint(table, constraint)),
  )
}

function refuseConstraint(table: Table, constraint: Constraint): LayoutRefusal[] {
  const object = `${table.name}.${constraint.name}`
  const index = table.indexes.find(({ oid }) => oid === constraint.indexOid)
  if (!KNOWN.has(constraint.type)) {
    return [
      {
        kind: 'constraint',
        object,
        reason: 'this kind of constraint is not known',
        remedy: 'Use a key, a check or an exclusion constraint.',
      },
    ]
  }
  if (constraint.type === 'x' && index && !canBeLed(index)) {
    return [
      {
        kind: 'exclusion constraint',
        object,
        reason: `a ${index.method} index has one column, so that ${TENANT_COLUMN} does not fit in`,
        remedy: 'Write EXCLUDE USING gist, or UNIQUE where only equality is asked for.',
      },
    ]
  }
  return []
}
