import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import {
  type Grant,
  type LayoutRefusal,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  type Relation,
  type Shape,
  type Wall,
} from '../shape.ts'
import { wallParts } from './walls.ts'

/** Reads tables for the whole fleet, tenant by tenant; writes nothing. */
const READER_ROLE = 'quickscale_reader'

/** Never TRUNCATE, REFERENCES or TRIGGER: none of them asks a policy. */
const PRIVILEGES = ['delete', 'insert', 'select', 'update']

export function grantRights(shape: Shape, wall: Wall): string[] {
  const role = quoteIdentifier(wallParts(wall).runtimeRole)
  const { name: schema, grants } = shape.schema
  const lacking = [wallParts(wall).runtimeRole, READER_ROLE].filter(
    (role) => !grants.some(({ grantee, privilege }) => grantee === role && privilege === 'usage'),
  )
  const made = [...shape.tables.filter(isWhole), ...shape.views]
    .filter((relation) => relation.grants.length === 0)
    .map(({ name }) => quoteQualified(schema, name))
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
          `grant ${PRIVILEGES.join(', ')} on ${made.join(', ')} to ${role}`,
          `grant select on ${made.join(', ')} to ${READER_ROLE}`,
        ]),
    ...(closed.length === 0 ? [] : [`revoke all on ${closed.join(', ')} from ${role}, ${READER_ROLE}`]),
  ]
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
        // One that was detached has none yet, one that was attached still has them.
        const given = printed(relation.grants)
        return given !== '' && (isNew(relation) || given !== printed(expectedOnRelation(role)))
      })
      .map(({ name }) => refuse(name)),
  ]
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

function expectedOnRelation(grantee: string): Grant[] {
  const granted = PRIVILEGES.map((privilege) => ({ grantee, privilege, grantable: false }))
  return [...granted, { grantee: READER_ROLE, privilege: 'select', grantable: false }]
}

function printed(grants: readonly Grant[]): string {
  return grants
    .map(({ grantee, privilege, grantable }) => `${grantee} ${privilege} ${grantable}`)
    .sort()
    .join()
}
