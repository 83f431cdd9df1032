import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import {
  type Grant,
  type LayoutRefusal,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  type Relation,
  type Shape,
  type Table,
  type Wall,
} from '../shape.ts'
import { wallParts } from './walls.ts'

/** Reads tables for the whole fleet, tenant by tenant; writes nothing. */
const READER_ROLE = 'quickscale_reader'

/** Never TRUNCATE, REFERENCES or TRIGGER: none of them asks a policy. */
const PRIVILEGES = ['delete', 'insert', 'select', 'update']
/** On a table that only grows. */
const ADDING = ['insert', 'select']

function privilegesOn(relation: Relation): readonly string[] {
  return 'appendOnly' in relation && relation.appendOnly === true ? ADDING : PRIVILEGES
}

export function grantRights(shape: Shape, wall: Wall): string[] {
  const role = quoteIdentifier(wallParts(wall).runtimeRole)
  const { name: schema, grants } = shape.schema
  const lacking = [wallParts(wall).runtimeRole, READER_ROLE].filter(
    (role) => !grants.some(({ grantee, privilege }) => grantee === role && privilege === 'usage'),
  )
  const made = [...shape.tables.filter((table) => isWhole(table) && !table.shared), ...shape.views].filter(
    (relation) => relation.grants.length === 0,
  )
  const namesOf = (relations: readonly Relation[]) =>
    relations.map(({ name }) => quoteQualified(schema, name)).join(', ')
  const closed = shape.tables
    .filter((table) => !isWhole(table) && table.grants.length > 0)
    .map(({ name }) => quoteQualified(schema, name))
  return [
    ...(lacking.length === 0
      ? []
      : [`grant usage on schema ${quoteIdentifier(schema)} to ${lacking.map(quoteIdentifier).join(', ')}`]),
    ...(made.length === 0
      ? []
      : [
          ...[PRIVILEGES, ADDING].flatMap((privileges) => {
            const relations = made.filter((relation) => privilegesOn(relation) === privileges)
            return relations.length === 0
              ? []
              : [`grant ${privileges.join(', ')} on ${namesOf(relations)} to ${role}`]
          }),
          `grant select on ${namesOf(made)} to ${READER_ROLE}`,
        ]),
    ...shape.tables.filter(({ shared }) => shared).flatMap((table) => grantReading(schema, table, role)),
    ...(closed.length === 0 ? [] : [`revoke all on ${closed.join(', ')} from ${role}, ${READER_ROLE}`]),
  ]
}

/**
 * The columns of a reference table, one by one. A right on the whole table has the system columns in it: a foreign key of
 * some tenant locks the row that it refers to, and `xmax` would show the others that somebody does.
 */
function grantReading(schema: string, { name, columns }: Table, role: string): string[] {
  const closed = columns
    .filter(({ grants }) => grants.length === 0)
    .map((column) => quoteIdentifier(column.name))
  return closed.length === 0
    ? []
    : [`grant select (${closed.join(', ')}) on ${quoteQualified(schema, name)} to ${role}, ${READER_ROLE}`]
}

/** Rights are the layout's alone: one right too many is a way around it, one too few breaks the application. */
export function refuseGrants(shape: Shape, wall: Wall): LayoutRefusal[] {
  const role = wallParts(wall).runtimeRole
  const refuse = (object: string): LayoutRefusal => ({
    kind: 'grant',
    object,
    reason: 'its rights are not the ones the layout gives',
    remedy: 'Remove GRANT, REVOKE and ALTER DEFAULT PRIVILEGES from the migration.',
  })
  return [
    ...(shape.defaultGrants > 0 ? [refuse('default privileges')] : []),
    ...(shape.schema.grants.every((grant) => isExpectedOnSchema(grant, role))
      ? []
      : [refuse(shape.schema.name)]),
    ...[...shape.tables, ...shape.views]
      .filter((relation) => {
        if ('shared' in relation && relation.shared) return !isReadOnly(relation, role)
        // One that was detached has none yet, one that was attached still has them.
        const given = printed(relation.grants)
        return given !== '' && (isNew(relation) || given !== printed(expectedOnRelation(relation, role)))
      })
      .map(({ name }) => refuse(name)),
  ]
}

/** No right on the whole of a reference table; on each column SELECT or, before it is completed, none. */
function isReadOnly({ grants, columns }: Table, role: string): boolean {
  const reading = [role, READER_ROLE].map((grantee) => ({ grantee, privilege: 'select', grantable: false }))
  return (
    grants.length === 0 && columns.every((column) => ['', printed(reading)].includes(printed(column.grants)))
  )
}

/** Partitions are reached through the whole table, and have no rights of their own. */
function isWhole({ partitionOf }: Relation): boolean {
  return partitionOf === null
}

function isNew({ owner }: Relation): boolean {
  return owner !== OWNER_ROLE
}

function isExpectedOnSchema({ grantee, privilege, grantable }: Grant, role: string): boolean {
  if (grantable) return false
  return grantee === MIGRATOR_ROLE || ([role, READER_ROLE].includes(grantee) && privilege === 'usage')
}

function expectedOnRelation(relation: Relation, grantee: string): Grant[] {
  const granted = privilegesOn(relation).map((privilege) => ({ grantee, privilege, grantable: false }))
  return [...granted, { grantee: READER_ROLE, privilege: 'select', grantable: false }]
}

function printed(grants: readonly Grant[]): string {
  return grants
    .map(({ grantee, privilege, grantable }) => `${grantee} ${privilege} ${grantable}`)
    .sort()
    .join()
}
