import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import {
  type Index,
  type LayoutRefusal,
  RESERVED_PREFIX,
  type Shape,
  type Table,
  TENANT_COLUMN,
  type Wall,
} from '../shape.ts'
import { completeColumns, hasCompleteColumns, helperOf } from '../tenant-position.ts'
import { indexBody } from './index-body.ts'
import { incompleteKeys } from './keys.ts'

const METHODS = new Set(['btree', 'hash', 'gin', 'gist', 'spgist', 'brin'])
const INDEX_COLUMNS_MAX = 32

function incompleteIndexes(table: Table, wall: Wall): Index[] {
  return table.shared
    ? []
    : table.indexes.filter((index) => !index.constraintOid && !hasCompleteColumns(wall, index))
}

export function dropIndexes(shape: Shape, wall: Wall): string[] {
  const names = shape.tables
    .flatMap((table) => incompleteIndexes(table, wall))
    .filter(({ attachedTo }) => attachedTo === null)
    .map(({ name }) => quoteQualified(shape.schema.name, name))
  return names.length === 0 ? [] : [`drop index ${names.join(', ')}`]
}

export function createIndexes(schema: string, table: Table, wall: Wall): string[] {
  const on = quoteQualified(schema, table.name)
  const created = incompleteIndexes(table, wall).map((index) => {
    const unique = index.unique ? 'unique ' : ''
    return `create ${unique}index ${quoteIdentifier(index.name)} on ${table.kind === 'p' ? 'only ' : ''}${on} ${indexBody(index, completeColumns(wall, index))}`
  })
  return [...created, ...rebuilt(table, wall).flatMap((index) => clusterMark(on, index))]
}

/** Indexes that completion drops and makes again, those of keys included. */
export function rebuilt(table: Table, wall: Wall): Index[] {
  return [...incompleteIndexes(table, wall), ...incompleteKeys(table, wall).map(({ index }) => index)]
}

/** The extensions that let tenant_id into the indexes to be made. */
export function helpersOf(shape: Shape, wall: Wall): string[] {
  const made = shape.tables.flatMap((table) => rebuilt(table, wall))
  return [...new Set(made.flatMap((index) => helperOf(wall, index) ?? []))]
}

export function refuseIndexes(shape: Shape, wall: Wall): LayoutRefusal[] {
  return shape.tables.flatMap((table) =>
    table.indexes
      .filter(({ attachedTo }) => attachedTo === null)
      .flatMap((index) => refuseIndex(table, index, wall)),
  )
}

function clusterMark(on: string, index: Index): string[] {
  return index.clustered ? [`alter table ${on} cluster on ${quoteIdentifier(index.name)}`] : []
}

function refuseIndex(table: Table, index: Index, wall: Wall): LayoutRefusal[] {
  const object = index.name
  const refusals: LayoutRefusal[] = []
  const refuse = (kind: string, reason: string, remedy: string) =>
    refusals.push({ kind, object, reason, remedy })
  if (index.name.startsWith(RESERVED_PREFIX)) refusals.push(reservedName('index', object))
  if (!METHODS.has(index.method)) {
    refuse('index', `indexes of kind ${index.method} are not known`, 'Use an index kind that is built in.')
  }
  if (!index.valid || index.ownTablespace) {
    refuse(
      'index storage',
      'it is invalid or in a tablespace',
      'Create it plainly, without CONCURRENTLY and TABLESPACE.',
    )
  }
  if (isFull(table, index, wall)) {
    refuse(
      'index',
      `it has ${INDEX_COLUMNS_MAX} columns, as many as PostgreSQL allows, and ${TENANT_COLUMN} would be one more`,
      'Leave a column out.',
    )
  }
  const misplaced =
    index.include.includes(TENANT_COLUMN) ||
    (index.keys.slice(1).some(({ column }) => column === TENANT_COLUMN) && !hasCompleteColumns(wall, index))
  if (misplaced && table.known) {
    refuse(
      'index',
      `${TENANT_COLUMN} may only lead it`,
      `Leave ${TENANT_COLUMN} out; the layout puts it where it belongs.`,
    )
  }
  return refusals
}

/** Whether there is no room for the tenant's column where it has to be. */
function isFull(table: Table, index: Index, wall: Wall): boolean {
  const count = index.keys.length + index.include.length
  return count >= INDEX_COLUMNS_MAX && !table.shared && !hasCompleteColumns(wall, index)
}
