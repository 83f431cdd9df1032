import { fileURLToPath } from 'node:url'
import type { Tenancy, TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { migrateQueue } from './jobs/migrate.ts'
import { configureModules, type ModulesConfig } from './modules/configure.ts'
import { modules as available } from './modules/index.ts'
import type { ConfiguredModule } from './modules/module.ts'

/** The application before it is opened: what the engine has to know of its modules. */
export interface Application {
  readonly modules: readonly ConfiguredModule[]
  /** For `createTenancy({ migrations })`. */
  readonly migrations: readonly string[]
  /** Gives a new tenant the rows every module needs, for `createTenancy({ seed })`; idempotent. */
  seed(tenant: TenantHandle<TenantTables>): Promise<void>
  /** `tenancy.migrate()`, then the modules' tables and the queue of jobs beside the catalog. Repeatable. */
  migrate(tenancy: Pick<Tenancy, 'migrate' | 'controlPlane'>): Promise<void>
}

/**
 * Chooses the modules of an application.
 *
 * @param manifest.modules options by module; those that are named, and those they need; all of them when none is named
 * @throws QuickScaleError `CONFIG_INVALID` naming what is wrong and, for an unknown key, the nearest known one
 * @example const application = defineApplication({ modules: { crm: { pipelineStages: ['New', 'Won'] } } })
 */
export function defineApplication(manifest: { readonly modules?: ModulesConfig } = {}): Application {
  const modules = configureModules(available, manifest.modules)
  return {
    modules,
    migrations: modules.flatMap(({ migrations = [] }) => migrations),
    seed: async (tenant) => {
      for (const module of modules) await module.seed(tenant)
    },
    migrate: async (tenancy) => {
      await tenancy.migrate()
      await tenancy.controlPlane.upgrade('limits', fileURLToPath(new URL('../sql/limits', import.meta.url)))
      for (const { name, controlPlane } of modules) {
        if (controlPlane !== undefined) await tenancy.controlPlane.upgrade(name, controlPlane)
      }
      await migrateQueue(tenancy)
    },
  }
}
