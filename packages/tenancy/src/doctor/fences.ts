import type pg from 'pg'
import type { PlacedTenant } from '../catalog/survey.ts'
import type { Fact } from './checks.ts'

interface Fence {
  readonly tenantId: string
  readonly epoch: number
  readonly state: string
  readonly schemaName: string
}

/** The fences of these tenants, as their database has them. */
export async function readFences(
  client: pg.ClientBase,
  tenantIds: readonly string[],
): Promise<Map<string, Fence>> {
  const { rows } = await client.query<Fence>(
    `select tenant_id as "tenantId", epoch, state, schema_name as "schemaName"
       from quickscale.placement where tenant_id = any ($1::uuid[])`,
    [tenantIds],
  )
  return new Map(rows.map((fence) => [fence.tenantId, fence]))
}

/** Fences that let somebody in whom the catalog does not place here; `known` are the ones it does. */
export async function findUnknownFences(
  client: pg.ClientBase,
  databaseName: string,
  known: ReadonlySet<string>,
): Promise<Fact[]> {
  const { rows } = await client.query<{ tenantId: string }>(
    `select tenant_id as "tenantId" from quickscale.placement where state = 'active' order by tenant_id`,
  )
  return rows
    .filter(({ tenantId }) => !known.has(tenantId))
    .map(({ tenantId }) => ({ check: 'fence-unknown', subject: tenantId, detail: databaseName }))
}

/**
 * Compares what the catalog believes with the fence, which decides. A tenant in the making may have none yet, and the
 * state of one that changes is still another: that is no fault, unless it stays so.
 */
export function compareFence(placed: PlacedTenant, fence: Fence | undefined, databaseName: string): Fact[] {
  if (placed.state === 'provisioning') return []
  const subject = placed.tenantId
  const unsettled = placed.settled ? [] : [{ check: 'tenant-unsettled', subject, detail: placed.state }]
  if (fence === undefined && placed.state === 'deleting') return unsettled
  if (fence === undefined) return [...unsettled, { check: 'fence-missing', subject, detail: databaseName }]
  const differences = [
    ['epoch', placed.epoch, fence.epoch],
    ['state', placed.settled ? placed.state : fence.state, fence.state],
    ['schema', placed.schemaName, fence.schemaName],
  ] as const
  const differing = differences
    .filter(([, catalog, here]) => catalog !== here)
    .map(([what, catalog, here]) => ({
      check: 'fence-differs',
      subject,
      detail: `its ${what} is ${catalog} in the catalog and ${here} in ${databaseName}`,
    }))
  return [...unsettled, ...differing]
}
