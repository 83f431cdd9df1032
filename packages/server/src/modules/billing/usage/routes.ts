import type { z } from 'zod'
import * as api from '../../../api/billing.ts'
import { reaches } from '../../../http/access.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { type InTenant, type Route, tenantRoute } from '../../../http/route.ts'
import type { Billing } from '../billing.ts'
import type { createMarker } from './mark.ts'
import { monthOf, readTotals, recordUsage, type UsageEvent } from './record.ts'
import { type Counted, countUsage, listChildren, readBelow } from './tree.ts'
import type { createWarner } from './warn.ts'

interface Usage extends Pick<Billing, 'services' | 'db' | 'options'> {
  readonly mark: ReturnType<typeof createMarker>
  readonly warn: ReturnType<typeof createWarner>
}

/** What an organization uses, and how much of it its plan has. */
export function usageRoutes(usage: Usage): readonly Route[] {
  const { db } = usage
  return [
    tenantRoute({
      method: 'POST',
      path: '/billing/usage',
      summary: 'Records what was used, once for each key',
      access: 'member',
      // It costs the organization money.
      impersonated: false,
      body: api.usageRecord,
      answers: { 200: api.usageRecorded },
      handle: (input) => record(usage, input),
    }),
    tenantRoute({
      method: 'GET',
      path: '/billing/usage',
      summary: 'What the organization has and has used this month, and how much it may',
      access: 'viewer',
      answers: { 200: api.usage },
      handle: (input) => readUsage(usage, input),
    }),
    tenantRoute({
      method: 'GET',
      path: '/billing/usage/organizations',
      summary:
        'What the organizations directly below used in a month, each with those below it, and all of them together',
      access: 'admin',
      // An operator who acts as a user stays in one organization.
      impersonated: false,
      query: api.usageOrganizationsQuery,
      answers: { 200: api.usageOrganizations },
      handle: (input) => readOrganizations(usage, input),
    }),
    tenantRoute({
      method: 'GET',
      path: '/billing/usage/hours',
      summary: 'What was used of a meter in each hour of a day (UTC)',
      access: 'viewer',
      query: api.usageHoursQuery,
      answers: { 200: api.usageHours },
      handle: async ({ here, query: { meter, day } }) => {
        const start = new Date(`${day}T00:00:00Z`)
        const rows = await db
          .selectFrom('usage_hour')
          .select(['hour', 'quantity'])
          .where('tenant_id', '=', here().tenantId)
          .where('meter', '=', meter)
          .where('hour', '>=', start)
          .where('hour', '<', new Date(start.getTime() + 86_400_000))
          .orderBy('hour')
          .execute()
        return { items: rows.map(({ hour, quantity }) => ({ hour, quantity: Number(quantity) })) }
      },
    }),
  ]
}

type Asked = Pick<InTenant, 'here' | 'db' | 'inTransaction' | 'reply' | 'caller'>

async function record(
  { services, db: beside, options, mark, warn }: Usage,
  { here, inTransaction, reply, body }: Asked & { readonly body: UsageEvent },
) {
  const { tenantId } = here()
  const { meter } = body
  if (!Object.hasOwn(options.meters, meter)) {
    throw new ProblemError(422, 'METER_UNKNOWN', `There is no meter ${meter}`)
  }
  const { plan, parentId } = await services.tenancy.tenants.get(tenantId)
  const { soft, hard } = options.plans[plan]?.quotas[meter] ?? {}
  const isParent = await mark(tenantId)
  const inTree = parentId !== null || isParent
  const refuse = (reason: string) => {
    reply.header('retry-after', String(secondsOfMonth(new Date())))
    return new ProblemError(429, 'QUOTA_EXCEEDED', reason)
  }
  const { used, counted } = await inTransaction(async (db) => {
    const { added, ...usage } = await recordUsage(db, body)
    const { total } = usage
    if (hard !== undefined && total > hard) throw refuse(`The plan has ${hard} of ${meter} a month`)
    const counted = added && inTree ? await countUsage(beside, tenantId, usage, options.plans) : []
    // Who is below another one is not told what that one has.
    if (counted.some(({ organization, refused }) => refused && organization !== tenantId))
      throw refuse(`An organization above this one has no more of ${meter} this month`)
    if (counted.some(({ refused }) => refused))
      throw refuse(`The plan has ${hard} of ${meter} a month, for all organizations below too`)
    return { used: total, counted }
  })
  const together = counted.find(({ organization }) => organization === tenantId)?.used ?? used
  const warning = soft !== undefined && together >= soft
  if (warning)
    services.inBackground(() =>
      warn({ tenantId, quota: meter, used: together, together: together > used, hard }),
    )
  const above = counted.filter(({ organization }) => organization !== tenantId)
  warnAbove({ services, options, warn }, meter, above)
  return { meter, used, soft: soft ?? null, hard: hard ?? null, warning }
}

/** Owners of organizations above hear of what they have used together with all below. */
function warnAbove(
  { services, options, warn }: Pick<Usage, 'services' | 'options' | 'warn'>,
  meter: string,
  above: readonly Counted[],
): void {
  for (const { organization: tenantId, plan, used } of above) {
    const { soft, hard } = options.plans[plan]?.quotas[meter] ?? {}
    if (soft === undefined || used < soft) continue
    services.inBackground(() => warn({ tenantId, quota: meter, used, together: true, hard }))
  }
}

async function readUsage({ services, db: beside, options }: Usage, { here, db, caller }: Asked) {
  const { tenantId, role } = here()
  const { plan } = await services.tenancy.tenants.get(tenantId)
  const quotas = options.plans[plan]?.quotas ?? {}
  const now = new Date()
  const totals = await readTotals(db, monthOf(now))
  // For whoever may see those below by themself.
  const reachesBelow = reaches(role, 'admin') && caller?.impersonator === undefined
  const below = reachesBelow ? await readBelow(beside, tenantId, monthOf(now)) : null
  const describe = (name: string, kind: 'meter' | 'count', used: number, tree: number | null) => {
    const { soft = null, hard = null } = quotas[name] ?? {}
    const warning = soft !== null && Math.max(used, tree ?? 0) >= soft
    return { name, kind, used, tree, soft, hard, warning }
  }
  const meters = Object.keys(options.meters).map((meter) => {
    const used = totals.get(meter) ?? 0
    return describe(meter, 'meter', used, below && used + (below.get(meter) ?? 0))
  })
  const counts = []
  for (const [name, measure] of services.gauges) {
    if (Object.hasOwn(quotas, name)) counts.push(describe(name, 'count', await measure(tenantId), null))
  }
  return {
    period_starts_at: startOfMonth(now, 0),
    period_ends_at: startOfMonth(now, 1),
    items: [...meters, ...counts],
  }
}

async function readOrganizations(
  { db: beside, options }: Usage,
  { here, db, query }: Asked & { readonly query: z.output<typeof api.usageOrganizationsQuery> },
) {
  const { tenantId } = here()
  const { month = monthOf(new Date()).slice(0, 7), limit, after = '' } = query
  const period = `${month}-01`
  const own = await readTotals(db, period)
  const below = await readBelow(beside, tenantId, period)
  const found = await listChildren(beside, tenantId, { period, after, limit: limit + 1 })
  const items = found.slice(0, limit)
  const meters = Object.keys(options.meters)
  const each = (read: (meter: string) => number) =>
    Object.fromEntries(meters.map((meter) => [meter, read(meter)]))
  return {
    month,
    own: each((meter) => own.get(meter) ?? 0),
    total: each((meter) => (own.get(meter) ?? 0) + (below?.get(meter) ?? 0)),
    items: items.map(({ used, ...child }) => ({ ...child, used: each((meter) => used[meter] ?? 0) })),
    next: found.length > limit ? (items.at(-1)?.slug ?? null) : null,
  }
}

/** In UTC. */
function startOfMonth(moment: Date, monthsLater: number): Date {
  return new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + monthsLater))
}

function secondsOfMonth(now: Date): number {
  return Math.ceil((startOfMonth(now, 1).getTime() - now.getTime()) / 1000)
}
