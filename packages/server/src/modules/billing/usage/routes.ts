import * as api from '../../../api/billing.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { type InTenant, type Route, tenantRoute } from '../../../http/route.ts'
import type { Billing } from '../billing.ts'
import type { BillingOptions } from '../options.ts'
import { readTotals, recordUsage, type UsageEvent } from './record.ts'
import type { createMarker } from './rollup.ts'
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

type Asked = Pick<InTenant, 'here' | 'db' | 'inTransaction' | 'reply'>

async function record(
  { services, options, mark, warn }: Usage,
  { here, inTransaction, reply, body }: Asked & { readonly body: UsageEvent },
) {
  const { tenantId } = here()
  const { meter } = body
  if (!Object.hasOwn(options.meters, meter)) {
    throw new ProblemError(422, 'METER_UNKNOWN', `There is no meter ${meter}`)
  }
  const { soft, hard } = await quotaOf(services, options, tenantId, meter)
  await mark(tenantId)
  const used = await inTransaction(async (db) => {
    const total = await recordUsage(db, body)
    if (hard === undefined || total <= hard) return total
    reply.header('retry-after', String(secondsOfMonth(new Date())))
    throw new ProblemError(429, 'QUOTA_EXCEEDED', `The plan has ${hard} of ${meter} a month`)
  })
  const warning = soft !== undefined && used >= soft
  if (warning) services.inBackground(() => warn({ tenantId, quota: meter, used, hard }))
  return { meter, used, soft: soft ?? null, hard: hard ?? null, warning }
}

async function readUsage({ services, options }: Usage, { here, db }: Asked) {
  const { tenantId } = here()
  const { plan } = await services.tenancy.tenants.get(tenantId)
  const quotas = options.plans[plan]?.quotas ?? {}
  const now = new Date()
  const totals = await readTotals(db, now)
  const describe = (name: string, kind: 'meter' | 'count', used: number) => {
    const { soft, hard } = quotas[name] ?? {}
    return { name, kind, used, soft: soft ?? null, hard: hard ?? null, warning: used >= (soft ?? Infinity) }
  }
  const meters = Object.keys(options.meters).map((meter) => describe(meter, 'meter', totals.get(meter) ?? 0))
  const counts = []
  for (const [name, measure] of services.gauges) {
    if (Object.hasOwn(quotas, name)) counts.push(describe(name, 'count', await measure(tenantId)))
  }
  return {
    period_starts_at: startOfMonth(now, 0),
    period_ends_at: startOfMonth(now, 1),
    items: [...meters, ...counts],
  }
}

async function quotaOf(
  { tenancy }: Billing['services'],
  { plans }: BillingOptions,
  tenantId: string,
  name: string,
) {
  const { plan } = await tenancy.tenants.get(tenantId)
  return plans[plan]?.quotas[name] ?? {}
}

/** In UTC. */
function startOfMonth(moment: Date, monthsLater: number): Date {
  return new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + monthsLater))
}

function secondsOfMonth(now: Date): number {
  return Math.ceil((startOfMonth(now, 1).getTime() - now.getTime()) / 1000)
}
