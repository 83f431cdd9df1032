import { quoteQualified } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import {
  type LayoutRefusal,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  RESERVED_PREFIX,
  type Relation,
  type Shape,
  type State,
  type Table,
  TENANT_COLUMN,
  type Wall,
} from '../shape.ts'
import { addTenantColumn } from './columns.ts'
import { addKeyClauses, dropKeyClauses } from './keys.ts'
import { partitionClauses } from './partitions.ts'
import { policyClauses, tenantClauses } from './walls.ts'

/** Of a table; https://www.postgresql.org/docs/current/limits.html */
const COLUMNS_MAX = 1_600

/** One ALTER TABLE for all that needs the table's exclusive lock: PostgreSQL orders its subcommands itself. */
export function completeTable(schema: string, table: Table, wall: Wall): string[] {
  const clauses = [
    ...(table.kind === 'p' ? [] : dropKeyClauses(table, wall)),
    ...(table.known || table.shared ? [] : tenantColumn(table, wall)),
    ...addKeyClauses(table, wall),
    ...replicaIdentity(table),
    ...(table.known || table.shared ? [] : policyClauses),
    ...(table.known ? [] : [`owner to ${OWNER_ROLE}`]),
  ]
  const only = table.kind === 'p' ? 'only ' : ''
  return clauses.length === 0
    ? []
    : [`alter table ${only}${quoteQualified(schema, table.name)} ${clauses.join(', ')}`]
}

function tenantColumn(table: Table, wall: Wall): string[] {
  if (table.partitionOf !== null) return partitionClauses(table, wall)
  return table.kind === 'p' ? [] : [...addTenantColumn(), ...tenantClauses(wall)]
}

/** Rows follow a tenant that moves by their primary key; without one that is checked at once, as a whole. */
function replicaIdentity(table: Table): string[] {
  const keyed = table.constraints.some(({ type, deferrable }) => type === 'p' && !deferrable)
  if (table.kind === 'p' || table.replicaIdentity === (keyed ? 'd' : 'f')) return []
  return [`replica identity ${keyed ? 'default' : 'full'}`]
}

export function refuseTables(shape: Shape, state: State): LayoutRefusal[] {
  return shape.tables.flatMap((table) => [
    ...refuseRelation('table', table),
    ...refuseKind(table),
    ...refuseRows(table, state),
  ])
}

/** What holds for tables and views alike: their names and their owner. */
export function refuseRelation(kind: string, relation: Relation): LayoutRefusal[] {
  const refusals: LayoutRefusal[] = []
  if (relation.name.startsWith(RESERVED_PREFIX)) refusals.push(reservedName(kind, relation.name))
  if (relation.owner !== OWNER_ROLE && relation.owner !== MIGRATOR_ROLE) {
    refusals.push({
      kind,
      object: relation.name,
      reason: `it belongs to the role ${relation.owner}`,
      remedy: 'Create it in a migration, and leave its owner alone.',
    })
  }
  return refusals
}

function refuseKind(table: Table): LayoutRefusal[] {
  const refuse = (kind: string, reason: string, remedy: string): LayoutRefusal => ({
    kind,
    object: table.name,
    reason,
    remedy,
  })
  const refusals: LayoutRefusal[] = []
  if (table.persistence !== 'p') {
    refusals.push(
      refuse('unlogged table', 'its rows do not survive a crash', 'Create it as an ordinary table.'),
    )
  }
  if (!(table.shared || table.known) && table.columns.length >= COLUMNS_MAX) {
    const reason = `it has ${table.columns.length} columns, and ${TENANT_COLUMN} would be one more than PostgreSQL allows`
    refusals.push(refuse('table', reason, 'Split it into two tables with the same key.'))
  }
  if (table.inherits) {
    refusals.push(
      refuse(
        'inheritance',
        'keys and policies of one table do not hold for the others',
        'Use separate tables.',
      ),
    )
  }
  if (table.typed) {
    refusals.push(
      refuse('typed table', 'a column cannot be added to it', 'List the columns in CREATE TABLE.'),
    )
  }
  if (table.foreignAccessMethod || table.ownTablespace) {
    refusals.push(
      refuse(
        'table storage',
        'access methods and tablespaces are not the same on every server',
        'Leave USING and TABLESPACE out.',
      ),
    )
  }
  return refusals
}

function refuseRows(table: Table, state: State): LayoutRefusal[] {
  if (table.shared || !state.filled.has(table.name)) return []
  return [
    {
      kind: 'rows',
      object: table.name,
      reason: 'the migration put rows into it, and a row needs a tenant',
      remedy: 'Insert them in the seed function of the configuration, which runs for each tenant.',
    },
  ]
}
