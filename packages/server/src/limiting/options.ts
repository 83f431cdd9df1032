import { QuickScaleError } from '@quickscale/tenancy'
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'

const PER_SECOND_MAX = 1_000_000
const WINDOW_SECONDS_MAX = 86_400

const perSecond = z.number().positive().max(PER_SECOND_MAX)

const planLimits = z.strictObject({
  /** Requests per second on the average of a window, of all members together, in every process when the store is shared. */
  requestsPerSecond: perSecond.default(100),
  /** Requests of the tenant that one process works on at the same time. */
  concurrent: z.int().min(1).max(10_000).default(16),
  /** Requests that wait for that; further ones are refused. */
  waiting: z.int().min(0).max(100_000).default(64),
  /** How long one statement may take. @defaultValue `connections.statementTimeoutMs` of the tenancy */
  statementTimeoutMs: z.int().min(1).max(3_600_000).optional(),
})

/** Where is counted. */
const store = z.discriminatedUnion('kind', [
  /** In each process on its own. */
  z.strictObject({ kind: z.literal('memory') }),
  /** In the catalog's database, for all processes: one or two statements for each request. */
  z.strictObject({ kind: z.literal('postgres') }),
  /** In Redis or Valkey, for all processes. */
  z.strictObject({
    kind: z.literal('redis'),
    /** A connected client of `ioredis` or `redis`; whoever made it ends it. */
    client: z.custom<object>((value) => typeof value === 'object' && value !== null, 'must be a client'),
    /** Which of the two packages it is of. @defaultValue `ioredis` */
    package: z.enum(['ioredis', 'redis']).default('ioredis'),
  }),
])

const limitOptions = z.strictObject({
  /** What is not used in a window is not saved for the next one. */
  windowSeconds: z.int().min(1).max(WINDOW_SECONDS_MAX).default(10),
  store: store.default({ kind: 'memory' }),
  /** By the names of the tenancy's plans; those that are not named have the usual ones. */
  plans: z.record(z.string(), planLimits).default({}),
  /** Of one user or API client, in all tenants together. */
  user: z.strictObject({ requestsPerSecond: perSecond.default(50) }).prefault({}),
  /** Of one address, or one /64 of IPv6, for requests of nobody who is known. */
  address: z.strictObject({ requestsPerSecond: perSecond.default(20) }).prefault({}),
  /** Whatever passwords and codes could be guessed with. */
  signIn: z
    .strictObject({
      windowSeconds: z.int().min(1).max(WINDOW_SECONDS_MAX).default(300),
      perAddress: z.int().min(1).default(60),
      perAccount: z.int().min(1).default(15),
    })
    .prefault({}),
})

/** What `buildApp` takes as `limits`. */
export type LimitOptions = z.input<typeof limitOptions>
export type Limits = z.output<typeof limitOptions>
export type PlanLimits = z.output<typeof planLimits>

/** Requests per second of plans that nothing is said of. */
const usual: Readonly<Record<string, number>> = {
  free: 20,
  starter: 50,
  pro: 100,
  team: 200,
  enterprise: 500,
}

/**
 * Checks the options.
 *
 * @param plans of the tenancy
 * @throws QuickScaleError `CONFIG_INVALID` naming what is wrong and, for an unknown plan, the nearest known one
 */
export function parseLimits(input: LimitOptions, plans: readonly string[]): Limits {
  const result = limitOptions.safeParse(input)
  if (!result.success) {
    const problems = result.error.issues.map(
      ({ path, message }) => `${['limits', ...path].join('.')} ${message}`,
    )
    throw new QuickScaleError('CONFIG_INVALID', { problem: problems.join('; ') })
  }
  for (const plan of Object.keys(result.data.plans)) {
    if (plans.includes(plan)) continue
    const [nearest] = [...plans].sort((a, b) => distance(a, plan) - distance(b, plan))
    const problem = `limits.plans.${plan} is no plan of the tenancy, did you mean ${nearest}?`
    throw new QuickScaleError('CONFIG_INVALID', { problem })
  }
  return result.data
}

/** Gives every plan its limits; a tenant whose plan is not known has those of a plan that nothing is said of. */
export function limitsByPlan(
  { plans }: Limits,
  names: readonly string[],
): (plan: string | null) => PlanLimits {
  const unknown = planLimits.parse({})
  const known = new Map(
    names.map((name) => [
      name,
      plans[name] ?? planLimits.parse(Object.hasOwn(usual, name) ? { requestsPerSecond: usual[name] } : {}),
    ]),
  )
  return (plan) => (plan === null ? undefined : known.get(plan)) ?? unknown
}
