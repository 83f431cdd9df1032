import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import {
  type Constraint,
  type LayoutRefusal,
  type Shape,
  type Table,
  TENANT_COLUMN,
  type Wall,
} from '../shape.ts'
import { hasCompleteColumns } from '../tenant-position.ts'
import { checkName, fullMatchCheck } from './checks.ts'
import { columnList } from './index-body.ts'
import { deferral } from './keys.ts'

const ACTIONS: Readonly<Record<string, string>> = {
  a: '',
  r: 'restrict',
  c: 'cascade',
  n: 'set null',
  d: 'set default',
}

/** A foreign key with the tenant's column stripped from its three lists, and the table it is meant for. */
interface Reference {
  readonly parent: string | undefined
  readonly columns: readonly string[]
  readonly parentColumns: readonly string[]
  readonly setColumns: readonly string[]
  readonly complete: boolean
  /** Whose rows are whose: from a table of tenants to one of them, to a reference table, and so on. */
  readonly from: 'tenants' | 'shared'
  readonly to: 'tenants' | 'shared'
  readonly appendOnly: boolean
}

export function dropForeignKeys(shape: Shape, wall: Wall): string[] {
  const dropped = shape.tables.flatMap((table) => {
    const clauses = incomplete(shape, table, wall).map(
      ({ key }) => `drop constraint ${quoteIdentifier(key.name)}`,
    )
    return clauses.length === 0
      ? []
      : [`alter table ${quoteQualified(shape.schema.name, table.name)} ${clauses.join(', ')}`]
  })
  const standIns = shape.standIns.map(({ name }) => quoteQualified(shape.schema.name, name))
  return standIns.length === 0 ? dropped : [...dropped, `drop table ${standIns.join(', ')}`]
}

export function addForeignKeys(shape: Shape, table: Table, wall: Wall): string[] {
  const clauses = incomplete(shape, table, wall).flatMap(({ key, reference }) => [
    `add constraint ${quoteIdentifier(key.name)} ${definition(shape.schema.name, key, reference)}`,
    ...fullMatchCheck(table, key, reference.columns),
  ])
  return clauses.length === 0
    ? []
    : [`alter table ${quoteQualified(shape.schema.name, table.name)} ${clauses.join(', ')}`]
}

/** Foreign keys that completion drops and makes again. */
export function rebuiltForeignKeys(shape: Shape, table: Table, wall: Wall): Constraint[] {
  return incomplete(shape, table, wall).map(({ key }) => key)
}

export function refuseForeignKeys(shape: Shape): LayoutRefusal[] {
  return shape.tables.flatMap((table) =>
    table.constraints
      .filter(isOwn)
      .flatMap((key) => refuseForeignKey(`${table.name}.${key.name}`, key, read(shape, table, key))),
  )
}

/** Not the part of a foreign key that stands for one partition. */
function isOwn({ type, inheritedFrom }: Constraint): boolean {
  return type === 'f' && inheritedFrom === null
}

function incomplete(shape: Shape, table: Table, wall: Wall): { key: Constraint; reference: Reference }[] {
  return table.constraints
    .filter(isOwn)
    .map((key) => ({ key, reference: read(shape, table, key) }))
    .filter(({ key, reference }) => !reference.complete || !reliesOnCompleteKey(shape, key, wall))
}

/** A key that is made again cannot be dropped while a foreign key relies on it. */
function reliesOnCompleteKey(shape: Shape, { parentOid, indexOid }: Constraint, wall: Wall): boolean {
  const parent = shape.tables.find(({ oid }) => oid === parentOid)
  const index = parent?.indexes.find(({ oid }) => oid === indexOid)
  if (parent?.shared) return true
  return index !== undefined && hasCompleteColumns(wall, index)
}

function read(shape: Shape, table: Table, key: Constraint): Reference {
  const parent = shape.tables.find(({ oid }) => oid === key.parentOid)
  const standIn = shape.standIns.find(({ oid }) => oid === key.parentOid)
  const led = key.columns[0] === TENANT_COLUMN && key.parentColumns[0] === TENANT_COLUMN
  const columns = led ? key.columns.slice(1) : key.columns
  const setColumns = setList(key, columns)
  const plain = table.shared || parent?.shared === true
  return {
    parent: parent?.name ?? standIn?.original,
    columns,
    parentColumns: led ? key.parentColumns.slice(1) : key.parentColumns,
    setColumns,
    complete: plain || (led && key.match === 's' && String(setColumns) === String(key.setColumns)),
    from: table.shared ? 'shared' : 'tenants',
    appendOnly: table.appendOnly,
    to: parent?.shared === true ? 'shared' : 'tenants',
  }
}

/** The columns ON DELETE SET NULL and SET DEFAULT may touch. The action runs as the table's owner, without policy:
 * with tenant_id among them it would write a row into no tenant, or into another. */
function setList(key: Constraint, columns: readonly string[]): readonly string[] {
  if (key.onDelete !== 'n' && key.onDelete !== 'd') return []
  return key.setColumns.length > 0 ? key.setColumns.filter((name) => name !== TENANT_COLUMN) : columns
}

function definition(
  schema: string,
  key: Constraint,
  { parent = '', columns, parentColumns, setColumns }: Reference,
): string {
  const onDelete = ACTIONS[key.onDelete]
  const onUpdate = ACTIONS[key.onUpdate]
  return [
    `foreign key ${keyList(key, columns)}`,
    ` references ${quoteQualified(schema, parent)} ${keyList(key, parentColumns)}`,
    onDelete ? ` on delete ${onDelete}` : '',
    setColumns.length > 0 ? ` ${columnList(setColumns)}` : '',
    onUpdate ? ` on update ${onUpdate}` : '',
    deferral(key),
    key.enforced ? (key.validated ? '' : ' not valid') : ' not enforced',
  ].join('')
}

function keyList({ temporal }: Constraint, columns: readonly string[]): string {
  const list = [TENANT_COLUMN, ...columns].map(quoteIdentifier)
  const [period, ...before] = list.toReversed()
  return temporal ? `(${[...before.toReversed(), `period ${period}`].join(', ')})` : `(${list.join(', ')})`
}

function refuseForeignKey(object: string, key: Constraint, reference: Reference): LayoutRefusal[] {
  const refusals: LayoutRefusal[] = []
  const refuse = (reason: string, remedy: string) =>
    refusals.push({ kind: 'foreign key', object, reason, remedy })
  if (reference.parent === undefined) {
    refuse(
      'it references a table outside the schema or one that is gone',
      'Reference a table of the same migrations.',
    )
  }
  refusals.push(...refuseBetween(object, key, reference))
  if (reference.appendOnly && [key.onDelete, key.onUpdate].some(writes)) {
    refuse(
      'it would change rows of an @append-only table, as its owner, whom no right keeps from it',
      'Leave ON DELETE and ON UPDATE out, or use RESTRICT.',
    )
  }
  const plain = reference.from === 'shared' || reference.to === 'shared'
  if (!plain && (key.onUpdate === 'n' || key.onUpdate === 'd')) {
    refuse(
      'ON UPDATE SET NULL and SET DEFAULT would set tenant_id too',
      'Use ON UPDATE CASCADE or no action.',
    )
  }
  if ([...reference.columns, ...reference.parentColumns].includes(TENANT_COLUMN)) {
    refuse(
      `${TENANT_COLUMN} may only lead both sides`,
      `Leave ${TENANT_COLUMN} out; the layout puts it first.`,
    )
  }
  if (
    !plain &&
    key.onDelete === 'n' &&
    key.match === 'f' &&
    reference.setColumns.length < reference.columns.length
  ) {
    refuse(
      'MATCH FULL cannot hold after SET NULL of some of its columns',
      'Set all of them, or use MATCH SIMPLE.',
    )
  }
  if (!plain && checkName(key) === undefined)
    refuse('its name is too long for the check of MATCH FULL', 'Use at most 47 bytes.')
  return refusals
}

/** Whether an action writes into the table that has the key. */
function writes(action: string): boolean {
  return action !== 'a' && action !== 'r'
}

/** What a foreign key may not do that begins or ends at a reference table. */
function refuseBetween(object: string, key: Constraint, { from, to, parent }: Reference): LayoutRefusal[] {
  if (from === 'shared' && to === 'tenants' && parent !== undefined) {
    return [
      {
        kind: 'foreign key',
        object,
        reason: 'a row that all tenants read would refer to the row of one of them',
        remedy: 'Reference another @shared table, or keep the reference in a table of tenants.',
      },
    ]
  }
  if (from === 'shared' || to === 'tenants' || ![key.onDelete, key.onUpdate].some(writes)) return []
  return [
    {
      kind: 'foreign key',
      object,
      reason: 'a change of the @shared table would write into the rows of every tenant',
      remedy: 'Leave ON DELETE and ON UPDATE out, or use RESTRICT.',
    },
  ]
}
