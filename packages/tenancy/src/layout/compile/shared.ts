import type { LayoutRefusal, Shape, Table } from '../shape.ts'
import { TENANT_COLUMN } from '../shape.ts'

// A reference table has no tenant_id, no policy and no rights but SELECT: all tenants of a place read the same rows, and
// only migrations write them. Each place has its own copy, made by the same migrations.

/** What a table with `@shared` in its comment may not be or have. */
export function refuseShared(shape: Shape): LayoutRefusal[] {
  return shape.tables.filter(({ shared }) => shared).flatMap((table) => refuseTable(shape, table))
}

function refuseTable(shape: Shape, table: Table): LayoutRefusal[] {
  const refusals: LayoutRefusal[] = []
  const refuse = (object: string, reason: string, remedy: string, kind = 'shared table') =>
    refusals.push({ kind, object, reason, remedy })
  if (table.known && table.columns.some(({ name }) => name === TENANT_COLUMN)) {
    refuse(
      table.name,
      'it has been a table of tenants until now, with rows of each of them',
      'Write @shared into the comment in the migration that creates the table; make another table for shared rows.',
    )
  }
  if (table.kind === 'p' || table.partitionOf !== null) {
    refuse(table.name, 'a reference table cannot have partitions', 'Leave PARTITION BY or @shared out.')
  }
  for (const { name, changingDefault, serial } of table.columns) {
    if (!changingDefault || serial) continue
    refuse(
      `${table.name}.${name}`,
      'its default gives another value in each place, and all of them have to hold the same rows',
      'Write the value into the INSERT of the migration.',
      'default',
    )
  }
  for (const { relationOid, identity } of shape.triggers) {
    if (relationOid !== table.oid) continue
    refuse(
      identity,
      'only migrations write a @shared table, and a trigger would run without a tenant',
      'Write what it would do into the migration.',
      'trigger',
    )
  }
  return refusals
}
