import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import {
  type Constraint,
  type LayoutRefusal,
  OWN_CHECK,
  RESERVED_PREFIX,
  type Shape,
  type Table,
} from '../shape.ts'
import { columnList } from './index-body.ts'

const FULL_MATCH_PREFIX = `${RESERVED_PREFIX}full_`
const NAME_BYTES_MAX = 63

/** Name of the check that stands for MATCH FULL; undefined when it would be cut off. */
export function checkName(key: Constraint): string | undefined {
  if (key.match !== 'f' || key.columns.length < 2) return ''
  const name = `${FULL_MATCH_PREFIX}${key.name}`
  return Buffer.byteLength(name) > NAME_BYTES_MAX ? undefined : name
}

/** MATCH FULL would treat the tenant's column as one more that must be null: a check says what was meant, that all
 * columns are null or none is. */
export function fullMatchCheck(table: Table, key: Constraint, columns: readonly string[]): string[] {
  const name = checkName(key)
  if (!name) return []
  const replaced = table.constraints.some((constraint) => constraint.name === name)
  return [
    ...(replaced ? [`drop constraint ${quoteIdentifier(name)}`] : []),
    `add constraint ${quoteIdentifier(name)} check (pg_catalog.num_nulls${columnList(columns)} in (0, ${columns.length}))${key.enforced ? (key.validated ? '' : ' not valid') : ' not enforced'}`,
  ]
}

/** Checks for MATCH FULL whose foreign key is gone. */
export function dropOrphanedChecks(schema: string, table: Table): string[] {
  if (table.partitionOf !== null) return []
  const keys = new Set(table.constraints.filter(({ type }) => type === 'f').map(({ name }) => name))
  return table.constraints
    .filter(({ type, name }) => type === 'c' && name.startsWith(FULL_MATCH_PREFIX) && table.known)
    .filter(({ name }) => !keys.has(name.slice(FULL_MATCH_PREFIX.length)))
    .map(
      ({ name }) =>
        `alter table ${quoteQualified(schema, table.name)} drop constraint ${quoteIdentifier(name)}`,
    )
}

export function refuseConstraintNames(shape: Shape): LayoutRefusal[] {
  return shape.tables.flatMap((table) =>
    table.constraints
      .filter(({ name }) => name.startsWith(RESERVED_PREFIX))
      .filter(
        ({ name, type }) =>
          !(
            (table.known || table.partitionOf !== null) &&
            type === 'c' &&
            (name === OWN_CHECK || name.startsWith(FULL_MATCH_PREFIX))
          ),
      )
      .map(({ name }) => reservedName('constraint', `${table.name}.${name}`)),
  )
}
