import type pg from 'pg'
import { countTenantRows } from '../strategies/tenant-rows.ts'
import type { Strategy } from '../tenant.ts'

/**
 * Rows that a tenant with a schema of its own has written into the shared tables beside it, by qualified names: they would not
 * move, and it would miss them where it goes.
 *
 * @param client an administrator's connection to the tenant's database
 * @returns what is in the way, in words
 */
export async function findStrayRows(
  client: pg.ClientBase,
  strategy: Strategy,
  tenantId: string,
): Promise<string[]> {
  if (strategy !== 'schema') return []
  const found = await countTenantRows(client, 'app', tenantId)
  return found.map(
    ({ name, count }) =>
      `the tenant has ${count} rows in ${name}, beside its schema, that would not move: let it move them into its own table, or delete them`,
  )
}
