import type { Tenancy } from '@quickscale/tenancy'
import { runMigrations } from 'graphile-worker'

/** Makes graphile-worker's schema beside the catalog, or brings it up to date. */
export async function migrateQueue({ controlPlane }: Pick<Tenancy, 'controlPlane'>): Promise<void> {
  const pgPool = controlPlane.openPool({ connectionsMax: 1, name: 'quickscale worker' })
  try {
    await runMigrations({ pgPool })
  } finally {
    await pgPool.end()
  }
}
