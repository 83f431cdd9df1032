import { type Move, QuickScaleError, type Tenant } from '@quickscale/tenancy'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import type { BillingOptions } from './options.ts'
import type { Provider } from './provider.ts'
import { changesAt, earliest, nextChange } from './schedule.ts'
import { PriceUnknown } from './stripe/read.ts'
import { changeSubscription } from './subscriptions.ts'
import type { Changes, Db, Subscription } from './tables.ts'

// A subscription says what an organization has chosen and paid for; its tenant follows. Whoever changes the one makes it due,
// and `settle` brings the other up to it, in steps that look at how it is and may all be repeated:
//
//   1  what the provider keeps, if it has said that something has changed: read from it, never taken from what it said
//   2  what time does: trials, periods and grace end
//   3  the tenant's state: suspended when nothing is paid, opened again when nobody else keeps it suspended
//   4  the tenant's plan, by a move where it means another place
//
// One process at a time does so for a subscription, under a lease; whatever is interrupted is due again. No order of
// events, and no repetition of them, leads to another result.

export interface Settling extends Pick<Services, 'tenancy' | 'closing'> {
  readonly db: Db
  readonly options: BillingOptions
  readonly provider: Provider
}

/** What has become of a subscription, and when it has to be looked at next. */
export interface Settled {
  readonly subscription: Subscription
  readonly next: Date | null
}

/** Has the tenant follow its subscription. */
export async function settle(settling: Settling, claimed: Subscription): Promise<Settled> {
  const { tenancy, options, provider, db } = settling
  const tenant = await tenancy.tenants.get(claimed.tenant_id)
  if (tenant.state === 'deleting' || tenant.state === 'deleted') {
    await provider.end(claimed)
    return { subscription: claimed, next: null }
  }
  let subscription = await readProvider(settling, claimed)
  for (let changes = changesAt(subscription, new Date(), options); changes !== null; ) {
    subscription = await changeSubscription(db, subscription, changes)
    changes = changesAt(subscription, new Date(), options)
  }
  subscription = await followState(settling, subscription, tenant)
  const moveEnds = await followPlan(settling, subscription, tenant)
  const read = subscription.provider_subscription !== null
  const nextRead = read ? new Date(Date.now() + limits.providerReadMs) : null
  return { subscription, next: earliest([nextChange(subscription, options), moveEnds, nextRead]) }
}

/** What the provider has is read whenever there is something there: a hint may have been lost. */
async function readProvider({ db, provider }: Settling, subscription: Subscription): Promise<Subscription> {
  const { hints, hints_seen, provider_subscription } = subscription
  if (hints === hints_seen && provider_subscription === null) return subscription
  const changes: Changes = { ...(await provider.read(subscription)), hints_seen: hints }
  return differs(subscription, changes) ? await changeSubscription(db, subscription, changes) : subscription
}

function differs(subscription: Subscription, changes: Changes): boolean {
  const now: Readonly<Record<string, unknown>> = { ...subscription }
  return Object.entries(changes).some(([name, value]) => String(now[name]) !== String(value))
}

/** Under which billing suspends, and resumes nothing else. */
const cause = 'billing'

async function followState(
  { tenancy, db }: Settling,
  subscription: Subscription,
  { id, state }: Tenant,
): Promise<Subscription> {
  const { status, suspended_at } = subscription
  if (status === 'unpaid') {
    if (state !== 'active' && state !== 'suspended') return subscription
    const noted =
      suspended_at === null
        ? await changeSubscription(db, subscription, { suspended_at: new Date() })
        : subscription
    await tenancy.tenants.suspend(id, { cause, reason: 'the subscription is not paid' })
    return noted
  }
  if (suspended_at === null) return subscription
  // What somebody else has suspended it for is not removed by payment.
  await tenancy.tenants.resume(id, { cause, reason: 'nothing is owed' })
  return await changeSubscription(db, subscription, { suspended_at: null })
}

/** @returns until when the way back of a move is open, if it is */
async function followPlan(
  settling: Settling,
  { plan, plan_since }: Subscription,
  tenant: Tenant,
): Promise<Date | null> {
  const { tenancy } = settling
  const [last] = await tenancy.moves.list({ tenant: tenant.id, limit: 1 })
  if (tenant.plan === plan && last?.state !== 'switched') {
    return last?.state === 'active' ? await closeWayBack(settling, last) : null
  }
  const undone = last?.state === 'returned' || last?.state === 'cancelled'
  if (undone && last.plan === plan && last.createdAt > plan_since) {
    throw new MoveUndone('An operator has taken the move to this plan back')
  }
  if (last !== undefined && last.plan !== plan) await endEarlierMove(settling, last)
  return await changePlan(settling, tenant.id, plan)
}

async function changePlan({ tenancy, options, closing: signal }: Settling, tenantId: string, plan: string) {
  const rollbackWindowMs = options.rollbackMinutes * 60_000
  const { move } = await tenancy.tenants.changePlan(tenantId, plan, { rollbackWindowMs, signal })
  return move?.rollbackUntil ?? null
}

/** A later choice takes back what has not arrived, and closes the way back of what has. */
async function endEarlierMove(settling: Settling, { id, state, tenantId, plan }: Move): Promise<void> {
  const { tenancy, closing: signal } = settling
  // A move of an operator's, for a reason of their own.
  if (plan === null) return
  if (state === 'planned' || state === 'copying' || state === 'streaming' || state === 'cancelling') {
    await tenancy.moves.cancel(id, { signal })
  }
  if (state === 'switched') await changePlan(settling, tenantId, plan)
  if (state === 'switched' || state === 'active' || state === 'purging') {
    await tenancy.moves.finish(id, { signal })
  }
}

async function closeWayBack(
  { tenancy, closing }: Settling,
  { id, rollbackUntil }: Move,
): Promise<Date | null> {
  if (rollbackUntil !== null && rollbackUntil > new Date()) return rollbackUntil
  await tenancy.moves.finish(id, { signal: closing })
  return null
}

/** A change of plan that somebody has taken back: trying again would be no help. */
class MoveUndone extends Error {}

/** Why a tenant does not follow, in words for its owners; null when it is no affair of theirs. */
export function reasonOf(error: unknown): string | null {
  if (error instanceof MoveUndone || error instanceof PriceUnknown) return error.message
  if (!(error instanceof QuickScaleError)) return null
  if (error.code === 'MOVE_REFUSED' || error.code === 'PLACEMENT_REFUSED')
    return String(error.details.reasons)
  return error.code === 'MOVE_CANCELLED' ? 'The move was cancelled' : null
}
