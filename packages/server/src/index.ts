import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { modules } from './modules/index.ts'

export { type AppOptions, buildApp } from './app.ts'

/** The application's migrations, for `createTenancy({ migrations })`. */
export const migrations: readonly string[] = modules.map((module) => module.migrations)

/** Gives a new tenant the rows every module needs, for `createTenancy({ seed })`; idempotent. */
export async function seedTenant(tenant: TenantHandle<TenantTables>): Promise<void> {
  for (const module of modules) await module.seed?.(tenant)
}
