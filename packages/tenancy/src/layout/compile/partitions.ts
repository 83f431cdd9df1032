import { quoteQualified } from '../../identifiers.ts'
import { type LayoutRefusal, type Shape, type Table, TENANT_COLUMN, type Wall } from '../shape.ts'
import { addTenantColumn } from './columns.ts'
import { rebuilt } from './indexes.ts'
import { dropKeyClauses } from './keys.ts'
import { tenantClauses, wallParts } from './walls.ts'

// Rows are reached through the partitioned table, whose rights and policies alone count then. A partition has the same
// policy, but no rights: addressed directly it does not open. Columns and checks come from the partitioned table. Keys
// and indexes would too, under names that nobody chose: so each is made where it is, and then attached.

/** What has to be done to a partitioned table before its partitions are complete, and reaches them by itself. */
export function preparePartitioned(schema: string, table: Table, wall: Wall): string[] {
  if (table.kind !== 'p') return []
  const clauses = [
    ...dropKeyClauses(table, wall),
    ...(table.known || table.partitionOf !== null ? [] : [...addTenantColumn(), ...tenantClauses(wall)]),
  ]
  return clauses.length === 0
    ? []
    : [`alter table ${quoteQualified(schema, table.name)} ${clauses.join(', ')}`]
}

/** A table that a migration attached has its tenant_id from fitMigration(), without a default. */
export function partitionClauses(table: Table, wall: Wall): string[] {
  const { tenantDefault } = wallParts(wall)
  const column = table.columns.find(({ name }) => name === TENANT_COLUMN)
  return column && column.default === null && tenantDefault !== null
    ? [`alter column ${TENANT_COLUMN} set default ${tenantDefault}`]
    : []
}

export function attachIndexes(shape: Shape, wall: Wall): string[] {
  const names = new Map(shape.tables.flatMap(({ indexes }) => indexes.map(({ oid, name }) => [oid, name])))
  return shape.tables.flatMap((table) =>
    rebuilt(table, wall).flatMap(({ name, attachedTo }) => {
      const whole = attachedTo === null ? undefined : names.get(attachedTo)
      return whole === undefined
        ? []
        : [
            `alter index ${quoteQualified(shape.schema.name, whole)} attach partition ${quoteQualified(shape.schema.name, name)}`,
          ]
    }),
  )
}

export function refusePartitions(shape: Shape): LayoutRefusal[] {
  const tables = new Set(shape.tables.map(({ oid }) => oid))
  return shape.tables
    .filter(({ partitionOf }) => partitionOf !== null && !tables.has(partitionOf))
    .map(({ name }) => ({
      kind: 'partition',
      object: name,
      reason: 'the table it is a partition of is outside the schema',
      remedy: 'Make both in the same migrations.',
    }))
}
