import { randomBytes } from 'node:crypto'
import type { TenantHandle } from '../session/tenant-handle.ts'
import type { Tenancy } from '../tenancy.ts'

/**
 * Makes two tenants of a plan that hold the same: `fill` runs in both, so that their rows have the same ids and whatever
 * confuses the two is noticed.
 *
 * @param fill inserts rows with explicit ids; it must do the same for both
 * @throws what `tenants.create` throws
 * @example
 * const [left, right] = await createTwins(tenancy, 'pro', (tenant) =>
 *   tenant.query("insert into note (id, body) values (1, 'of ' || quickscale.tenant_id())"),
 * )
 */
export async function createTwins<DB>(
  tenancy: Tenancy<DB>,
  plan: string,
  fill: (tenant: TenantHandle<DB>) => Promise<unknown>,
): Promise<readonly [TenantHandle<DB>, TenantHandle<DB>]> {
  const name = `twin-${randomBytes(4).toString('hex')}`
  const make = async (side: string) => {
    const { slug } = await tenancy.tenants.create({ slug: `${name}-${side}`, name: `${name} ${side}`, plan })
    const handle = tenancy.tenant(slug)
    await fill(handle)
    return handle
  }
  return [await make('left'), await make('right')]
}
