import type { Tenancy, TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyBaseLogger } from 'fastify'
import type { z } from 'zod'
import type { PlatformLog } from '../audit/control-plane.ts'
import type { Deliveries } from '../deliveries.ts'
import type { CursorCodec } from '../http/cursor.ts'
import type { Gate } from '../http/gate.ts'
import type { ConstraintMeanings } from '../http/problem.ts'
import type { Route } from '../http/route.ts'
import type { Job } from '../jobs/job.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { Quotas } from '../limiting/quotas.ts'
import type { Mailer } from '../mail/mailer.ts'

/** Counts something that a tenant has at this moment. */
export type Gauge = (tenantId: string) => Promise<number>

/** What modules share, while the server of their application is open. */
export interface Services {
  readonly tenancy: Tenancy<TenantTables>
  readonly cursors: CursorCodec
  /** Where modules say who callers are and what they may. */
  readonly gate: Gate
  readonly mailer: Mailer
  /** Where the application is reached: `https://app.example.com`. */
  readonly baseUrl: string
  /** Where its pages `verify-email`, `change-email`, `reset-password` and `accept-invitation` are; each gets a `token`. */
  readonly appUrl: string
  /** Origins of other pages that may act with the visitor's session. */
  readonly origins: ReadonlySet<string>
  /** Changes of members on their way to the tenants' places. */
  readonly deliveries: Deliveries
  /** Work that is left for later. */
  readonly jobs: Jobs
  readonly log: FastifyBaseLogger
  /** Where it is written down what happens outside of tenants. */
  readonly platformLog: PlatformLog
  /** Each may let somebody sign up whom it knows as invited, while registration is closed. @returns whether it did */
  readonly invitedSignUps: ((
    invited: { readonly email: string; readonly token: string },
    signUp: () => Promise<unknown>,
  ) => Promise<boolean>)[]
  /** Asked before a user deletes their account; each may throw a refusal. */
  readonly beforeDeletion: ((userId: string) => Promise<void>)[]
  /** Has each module forget a person whose account goes, wherever it knows them beside the members; repeatable. */
  readonly onDeletion: ((person: { readonly id: string; readonly email: string }) => Promise<void>)[]
  /** Asked before a tenant gets more of what a gauge counts; each may throw a refusal. */
  readonly beforeAdding: ((tenantId: string, gauge: string) => Promise<void>)[]
  /** What of a tenant can be counted, by name; each module adds its own. */
  readonly gauges: Map<string, Gauge>
  /** What plans allow to have of it; routes say what they add with `adds`. */
  readonly quotas: Quotas
  /** Aborted when the server begins to end: work beside the requests has to stop where it can go on later. */
  readonly closing: AbortSignal
  /** A secret of 32 bytes in base64url for one purpose, the same in every process. */
  deriveSecret(purpose: string): string
  /** Runs beside the requests, once the server is ready; the end of the server waits for it, and a failure is logged. */
  inBackground(work: () => Promise<unknown>): void
}

/** A part of the application that brings its own tables, routes and first rows. */
export interface ModuleDefinition<Options> {
  readonly name: string
  /** Modules whose tables or routes it builds on. @defaultValue `platform` */
  readonly needs?: readonly string[]
  /** Absolute path of the directory of its migrations, of tables of each tenant. @defaultValue none */
  readonly migrations?: string
  /** Absolute path of the SQL of its tables beside the catalog, in a schema of its name. @defaultValue none */
  readonly controlPlane?: string
  /** What its constraints tell the caller. */
  readonly constraints: ConstraintMeanings
  /** A strict object, with a default for every key: an absent option is `{}`. */
  readonly options: z.ZodType<Options>
  routes(services: Services, options: Options): readonly Route[]
  /** What it leaves for later. @defaultValue nothing */
  jobs?(services: Services, options: Options): readonly Job[]
  /** Gives a new tenant the rows it cannot be without; idempotent. */
  seed?(tenant: TenantHandle<TenantTables>, options: Options): Promise<void>
}

/** A module with its options. */
export interface ConfiguredModule
  extends Pick<ModuleDefinition<never>, 'name' | 'migrations' | 'controlPlane' | 'constraints'> {
  routes(services: Services): readonly Route[]
  jobs(services: Services): readonly Job[]
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
  const { name, needs = ['platform'], migrations, controlPlane, constraints, options: schema } = definition
  return {
    name,
    needs,
    optionNames: 'shape' in schema ? Object.keys(Object(schema.shape)) : [],
    configure: (input) =>
      schema
        .transform(
          (options): ConfiguredModule => ({
            name,
            ...(migrations !== undefined && { migrations }),
            ...(controlPlane !== undefined && { controlPlane }),
            constraints,
            routes: (services) => definition.routes(services, options),
            jobs: (services) => definition.jobs?.(services, options) ?? [],
            seed: async (tenant) => await definition.seed?.(tenant, options),
          }),
        )
        .safeParse(input),
  }
}
