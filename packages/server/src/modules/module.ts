import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { z } from 'zod'
import type { CursorCodec } from '../http/cursor.ts'
import type { ConstraintMeanings } from '../http/problem.ts'
import type { Route } from '../http/route.ts'

/** What modules share. */
export interface Services {
  readonly cursors: CursorCodec
}

/** A part of the application that brings its own tables, routes and first rows. */
export interface ModuleDefinition<Options> {
  readonly name: string
  /** Modules whose tables or routes it builds on. @defaultValue `platform` */
  readonly needs?: readonly string[]
  /** Absolute path of the directory of its migrations, of tables of each tenant. */
  readonly migrations: string
  /** What its constraints tell the caller. */
  readonly constraints: ConstraintMeanings
  /** A strict object, with a default for every key: an absent option is `{}`. */
  readonly options: z.ZodType<Options>
  routes(services: Services, options: Options): readonly Route[]
  /** Gives a new tenant the rows it cannot be without; idempotent. */
  seed?(tenant: TenantHandle<TenantTables>, options: Options): Promise<void>
}

/** A module with its options. */
export interface ConfiguredModule
  extends Pick<ModuleDefinition<never>, 'name' | 'migrations' | 'constraints'> {
  routes(services: Services): readonly Route[]
  seed(tenant: TenantHandle<TenantTables>): Promise<void>
}

/** A module before it is given its options. */
export interface Module extends Pick<ModuleDefinition<never>, 'name' | 'needs'> {
  /** The keys its options may have. */
  readonly optionNames: readonly string[]
  /** @returns what is wrong, or the module */
  configure(input: unknown): z.ZodSafeParseResult<ConfiguredModule>
}

/**
 * Declares a module.
 *
 * @example
 * export const notes = defineModule({
 *   name: 'notes',
 *   migrations: fileURLToPath(new URL('../../../migrations/notes', import.meta.url)),
 *   constraints: {},
 *   options: z.strictObject({ notesMax: z.int().default(100) }),
 *   routes: ({ cursors }, { notesMax }) => [...],
 * })
 */
export function defineModule<Options>(definition: ModuleDefinition<Options>): Module {
  const { name, needs = ['platform'], migrations, constraints, options: schema } = definition
  return {
    name,
    needs,
    optionNames: 'shape' in schema ? Object.keys(Object(schema.shape)) : [],
    configure: (input) =>
      schema
        .transform(
          (options): ConfiguredModule => ({
            name,
            migrations,
            constraints,
            routes: (services) => definition.routes(services, options),
            seed: async (tenant) => await definition.seed?.(tenant, options),
          }),
        )
        .safeParse(input),
  }
}
