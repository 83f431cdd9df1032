import { dirname, isAbsolute, relative, resolve } from 'node:path'
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { QuickScaleError } from './errors.ts'
import type { KeyProvider } from './key-provider.ts'
import { limits } from './limits.ts'
import {
  type BroughtDatabasesConfig,
  broughtSchema,
  capsSchema,
  findServerProblems,
  type PlacementRules,
  type PoolerConfig,
  poolerSchema,
  postgresUrl,
  type ResolvedServer,
  rulesSchema,
  type ServerConfig,
  serverSchema,
  serversSchema,
} from './server-config.ts'
import type { Strategy } from './tenant.ts'

/** What a plan promises its tenants. */
export interface PlanConfig {
  /** How tenants of the plan are kept apart. */
  strategy: Strategy
  /**
   * Which servers its tenants may live on.
   * @defaultValue any that is not private
   */
  placement?: PlacementRules | undefined
}

/** How many connections are opened and how long anything waits for one. */
export interface ConnectionsConfig {
  /**
   * Connections to one shared database.
   * @defaultValue 10
   */
  perDatabase?: number | undefined
  /**
   * Connections to the own database of one tenant.
   * @defaultValue 20
   */
  perSilo?: number | undefined
  /**
   * Connections to one server, of all its databases together; the longest unused one gives way to another database.
   * @defaultValue 80
   */
  perServer?: number | undefined
  /**
   * Units of work of one tenant that may wait for a connection; one more fails with `CONNECTION_QUEUE_FULL`.
   * @defaultValue 1000
   */
  waitingPerTenant?: number | undefined
  /**
   * Milliseconds to wait for a free connection before `CONNECTION_TIMEOUT`.
   * @defaultValue 5000
   */
  waitMs?: number | undefined
  /**
   * Milliseconds after which an unused connection is closed.
   * @defaultValue 30000
   */
  idleMs?: number | undefined
  /**
   * Milliseconds a statement may take before the server cancels it (SQLSTATE 57014); when no answer comes for five
   * seconds more, the connection is ended and the error is `STATEMENT_TIMEOUT`.
   * @defaultValue 30000
   */
  statementTimeoutMs?: number | undefined
}

/**
 * Everything an installation can be told; the argument of `createTenancy` and the default export of
 * `quickscale.config.ts`.
 *
 * @typeParam Handle - what `seed` is called with: the handle of the new tenant.
 */
export interface TenancyConfig<Handle = unknown> {
  /** `postgres://` URL of an administrator of the first server (CREATEDB, CREATEROLE, BYPASSRLS). */
  databaseUrl: string
  /**
   * Prefix of the databases and login roles made on a server: a-z, 0-9 and `_`, a letter first, 16 characters at most.
   * @defaultValue 'quickscale'
   */
  installation?: string | undefined
  /** 32 random bytes in base64; every other key is derived from it or encrypted with it. */
  masterKey: string
  /** Absolute paths of directories of `NNNN_name.sql` files, applied in the given order. In a config file: relative to it. */
  migrations: readonly string[]
  /**
   * The plans that can be sold; given plans replace the default ones.
   * @defaultValue free, starter: rls; pro, team: schema; enterprise: database
   */
  plans?: Readonly<Record<string, PlanConfig>> | undefined
  /**
   * Runs inside every new tenant before it becomes active; repeated after a crash, so it must be idempotent.
   * @defaultValue nothing is seeded
   */
  seed?: ((tenant: Handle) => Promise<void>) | undefined
  /**
   * `createTenancy` finishes first what was interrupted, as `tenants.sweep()` does; any number of processes may do so.
   * @defaultValue false
   */
  sweepOnStart?: boolean | undefined
  /**
   * Databases that were claimed are replaced in the background, as many on each server as its `warmDatabases`; false
   * leaves that to `tenancy.warm()`.
   * @defaultValue true
   */
  refillWarmDatabases?: boolean | undefined
  /** Bounds of the connection pools. */
  connections?: ConnectionsConfig | undefined
  /**
   * Tenants' queries go through this pooler; everything else goes to `databaseUrl`, which stays direct.
   * @defaultValue none
   */
  pooler?: PoolerConfig | undefined
  /**
   * Further servers that tenants live on, by name; `primary` is the one `databaseUrl` leads to.
   * @defaultValue `primary` alone
   */
  servers?: Readonly<Record<string, ServerConfig>> | undefined
  /** Databases that customers bring: {@link BroughtDatabasesConfig}. */
  broughtDatabases?: BroughtDatabasesConfig | undefined
  /**
   * Wraps the keys of stored credentials, a key management service for instance.
   * @defaultValue a key derived from `masterKey`
   */
  keyProvider?: KeyProvider | undefined
}

/** A configuration with every default filled in and every value checked. */
export interface ResolvedConfig {
  readonly databaseUrl: string
  readonly installation: string
  /** Exactly 32 bytes in base64. */
  readonly masterKey: string
  readonly migrations: readonly string[]
  readonly plans: Readonly<Record<string, Readonly<PlanConfig>>>
  readonly seed?: ((tenant: unknown) => Promise<void>) | undefined
  readonly sweepOnStart: boolean
  readonly refillWarmDatabases: boolean
  readonly connections: Readonly<Record<keyof ConnectionsConfig, number>>
  readonly pooler?: ResolvedServer['pooler']
  /** With `primary` as the first. */
  readonly servers: Readonly<Record<string, ResolvedServer>>
  readonly broughtDatabases: { readonly requireTls: boolean; readonly connections: number }
  readonly keyProvider?: KeyProvider | undefined
}

const MASTER_KEY_BYTES = 32
const CONFIG_FILE = 'quickscale.config'

/** Environment variables that stand for a key; they override the file. */
const environmentKeys = {
  databaseUrl: 'QUICKSCALE_DATABASE_URL',
  masterKey: 'QUICKSCALE_MASTER_KEY',
} as const

const defaultPlans: Record<string, { strategy: Strategy }> = {
  free: { strategy: 'rls' },
  starter: { strategy: 'rls' },
  pro: { strategy: 'schema' },
  team: { strategy: 'schema' },
  enterprise: { strategy: 'database' },
}

const planSchema = z.strictObject({
  strategy: z.enum(['rls', 'schema', 'database']),
  placement: rulesSchema.optional(),
})

const connectionsSchema = z.strictObject({
  perDatabase: count(limits.connectionsPerPoolMax).default(limits.connectionsPerDatabase),
  perSilo: count(limits.connectionsPerPoolMax).default(limits.connectionsPerSilo),
  perServer: count(limits.connectionsPerServerMax).default(limits.connectionsPerServer),
  waitingPerTenant: count(limits.connectionWaitersConfigurableMax).default(limits.connectionWaitersPerTenant),
  waitMs: count(limits.connectionTimesMsMax).default(limits.connectionWaitMs),
  idleMs: count(limits.connectionTimesMsMax).default(limits.connectionIdleMs),
  statementTimeoutMs: count(limits.connectionTimesMsMax).default(limits.statementTimeoutMs),
})

const configSchema = z
  .strictObject({
    databaseUrl: postgresUrl,
    installation: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,15}$/, 'must be a-z, 0-9 and "_", a letter first, at most 16 characters')
      .default('quickscale'),
    // The last of 43 characters carries 4 bits and two zeros: one text per key.
    masterKey: z
      .string()
      .regex(
        /^[A-Za-z0-9+/_-]{42}[AEIMQUYcgkosw048]=?$/,
        `must be ${MASTER_KEY_BYTES} bytes in base64 (openssl rand -base64 32)`,
      ),
    migrations: z
      .array(z.string().refine(isAbsolute, 'must be an absolute path'))
      .max(limits.migrationDirectoriesMax),
    plans: z
      .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), planSchema)
      .refine((plans) => Object.keys(plans).length > 0, 'must name at least one plan')
      .default(defaultPlans),
    seed: z.custom<(tenant: unknown) => Promise<void>>(isFunction, 'must be a function').optional(),
    sweepOnStart: z.boolean().default(false),
    refillWarmDatabases: z.boolean().default(true),
    connections: connectionsSchema.prefault({}),
    pooler: poolerSchema.optional(),
    servers: serversSchema,
    broughtDatabases: broughtSchema.prefault({}),
    keyProvider: z.custom<KeyProvider>(isKeyProvider, 'must have keyId, wrap and unwrap').optional(),
  })
  .superRefine(({ databaseUrl, servers, plans }, context) => {
    for (const { path, message } of [
      ...findServerProblems(databaseUrl, servers),
      ...findPinProblems({ plans, servers }),
    ]) {
      context.addIssue({ code: 'custom', path, message })
    }
  }) satisfies z.ZodType<ResolvedConfig>

/** A plan that is pinned to a server which is not there would refuse each of its tenants. */
function findPinProblems({ plans, servers }: Pick<ResolvedConfig, 'plans' | 'servers'>) {
  return Object.entries(plans).flatMap(([plan, { placement }]) => {
    const { server } = placement ?? {}
    if (server === undefined || Object.hasOwn(servers, server)) return []
    return [{ path: ['plans', plan, 'placement', 'server'], message: 'must be one of the servers' }]
  })
}

/** Where each known key belongs, so that a misspelt or misplaced one can be told its place. */
const knownKeys = [
  ...Object.keys(configSchema.shape).map((name) => ({ name, path: name })),
  ...Object.keys(connectionsSchema.shape).map((name) => ({ name, path: `connections.${name}` })),
  ...Object.keys(poolerSchema.shape).map((name) => ({ name, path: `pooler.${name}` })),
  ...Object.keys(serverSchema.shape).map((name) => ({ name, path: `servers.<server>.${name}` })),
  ...Object.keys(capsSchema.shape).map((name) => ({ name, path: `servers.<server>.caps.${name}` })),
  ...Object.keys(broughtSchema.shape).map((name) => ({ name, path: `broughtDatabases.${name}` })),
  ...Object.keys(planSchema.shape).map((name) => ({ name, path: `plans.<plan>.${name}` })),
]

/**
 * Types the default export of `quickscale.config.ts`; returns it as it is. The URL and the key usually come from
 * the environment (`QUICKSCALE_DATABASE_URL`, `QUICKSCALE_MASTER_KEY`), so no key is required here.
 *
 * @example
 * export default defineConfig({ installation: 'demo', migrations: ['./migrations'] })
 */
export function defineConfig<Handle = unknown>(
  config: Partial<TenancyConfig<Handle>>,
): Partial<TenancyConfig<Handle>> {
  return config
}

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param input - anything; usually a {@link TenancyConfig}
 * @param source - what errors call the place it came from
 * @throws QuickScaleError `CONFIG_INVALID` naming the source, each wrong key's path and, for an unknown key, the
 * nearest known one. Values are never quoted: some of them are secrets.
 */
export function parseConfig(input: unknown, source = 'createTenancy()'): ResolvedConfig {
  return parse(input, () => source)
}

/**
 * Loads `quickscale.config.ts` (or .js, .mjs, .json); then `QUICKSCALE_DATABASE_URL` and `QUICKSCALE_MASTER_KEY`,
 * then `overrides` replace single keys. The file may be absent when those supply everything.
 *
 * @param options.cwd - directory of the file; default: the working directory
 * @param options.overrides - keys that win over file and environment
 * @throws QuickScaleError `CONFIG_INVALID` when the file cannot be loaded or a value is wrong
 * @example
 * const tenancy = await createTenancy(await loadConfig())
 */
export async function loadConfig(
  options: { cwd?: string; overrides?: Partial<TenancyConfig> } = {},
): Promise<ResolvedConfig> {
  const cwd = resolve(options.cwd ?? '.')
  const { file, values } = await readConfigFile(cwd)
  const environment: Record<string, string> = {}
  for (const [key, variable] of Object.entries(environmentKeys)) {
    const value = process.env[variable]
    if (value) environment[key] = value
  }
  const overrides = options.overrides ?? {}
  const fileName = file === null ? `${CONFIG_FILE}.ts (absent in ${cwd})` : relative(cwd, file)
  return parse({ ...values, ...environment, ...overrides }, (key) => {
    if (key in overrides) return 'overrides'
    if (key in environment) return environmentKeys[key as keyof typeof environmentKeys]
    return fileName
  })
}

async function readConfigFile(
  cwd: string,
): Promise<{ file: string | null; values: Record<string, unknown> }> {
  // Loaded on demand: c12 brings a dozen packages that createTenancy() with an object does not need.
  const c12 = await import('c12')
  let file: string | undefined
  let values: Record<string, unknown>
  try {
    const loaded = await c12.loadConfig<Record<string, unknown>>({
      name: 'quickscale',
      configFile: CONFIG_FILE,
      cwd,
      envName: false,
      rcFile: false,
      extend: false,
      giget: false,
      // Node strips types itself; so the config file and the application share one copy of every module.
      jitiOptions: { tryNative: true, fsCache: false },
    })
    file = loaded._configFile
    values = loaded.config
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new QuickScaleError(
      'CONFIG_INVALID',
      { problem: `${CONFIG_FILE} in ${cwd} cannot be loaded: ${reason}` },
      { cause: error },
    )
  }
  if (file === undefined) return { file: null, values: {} }
  const directory = dirname(file)
  const { migrations } = values
  if (!Array.isArray(migrations)) return { file, values }
  const absolute = migrations.map((path) => (typeof path === 'string' ? resolve(directory, path) : path))
  return { file, values: { ...values, migrations: absolute } }
}

function parse(input: unknown, sourceOf: (topLevelKey: string) => string): ResolvedConfig {
  const result = configSchema.safeParse(input)
  if (result.success) return result.data
  const problems = result.error.issues.flatMap(explainIssue)
  const sentences = problems.map(({ path, message }) => {
    const place = path.length === 0 ? '' : `${path.join('.')} `
    return `${sourceOf(path[0] ?? '')}: ${place}${message}`
  })
  throw new QuickScaleError('CONFIG_INVALID', {
    problem: sentences.join('; '),
    keys: problems.map(({ path }) => path.join('.')),
  })
}

interface Problem {
  readonly path: readonly string[]
  readonly message: string
}

function explainIssue(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `is not a known key, did you mean ${nearestKey(key)}?`,
    }))
  }
  if (issue.code === 'invalid_key')
    return [{ path, message: 'must be a-z, 0-9, "_" and "-", a letter first' }]
  if (issue.code === 'custom' || issue.code === 'invalid_format') return [{ path, message: issue.message }]
  // Zod's own messages name types and bounds, never the value.
  const message = issue.message.replace('Invalid input: ', '').replace(/^./, (first) => first.toLowerCase())
  if (!message.endsWith('received undefined')) return [{ path, message: `is wrong: ${message}` }]
  const variable = Object.entries(environmentKeys).find(([key]) => key === path.join('.'))?.[1]
  return [{ path, message: variable === undefined ? 'is missing' : `is missing (or set ${variable})` }]
}

function nearestKey(unknownKey: string): string {
  const far = (name: string) => distance(unknownKey.toLowerCase(), name.toLowerCase())
  const nearest = knownKeys.reduce((best, key) => (far(key.name) < far(best.name) ? key : best))
  return nearest.path
}

function count(max: number): z.ZodInt {
  return z.int().min(1).max(max)
}

function isKeyProvider(value: unknown): boolean {
  const provider = value as Partial<KeyProvider> | null
  return typeof provider?.keyId === 'string' && isFunction(provider.wrap) && isFunction(provider.unwrap)
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}
