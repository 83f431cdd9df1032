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
// events, and no repetition of them, leads to another result. A move is begun and left to itself: it takes as long as it takes, and a
// later choice takes it back while that can be done.

export interface Settling extends Pick<Services, 'tenancy' | 'closing'> {
  readonly db: Db
  readonly options: BillingOptions
  readonly provider: Provider
  /** Whether this process may begin another move. */
  mayMove(): boolean
}

/** How a move has ended; it never fails. */
export type Moving = Promise<{ readonly error?: unknown }>

/** What has become of a subscription, and when it has to be looked at next. */
export interface Settled {
  readonly subscription: Subscription
  readonly next: Date | null
  /** The move that was begun. */
  readonly moving?: Moving
  /** Nothing has come of it yet: what was tried before, and has failed, is neither forgotten nor tried again. */
  readonly waits?: boolean
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
  const { next = null, ...move } = await followPlan(settling, subscription, tenant)
  const read = subscription.provider_subscription !== null
  const nextRead = read ? new Date(Date.now() + limits.providerReadMs) : null
  return { ...move, subscription, next: earliest([nextChange(subscription, options), next, nextRead]) }
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

type Followed = Pick<Settled, 'moving' | 'waits'> & {
  /** When there is something to do next: the way back of a move is over, or whoever moves the tenant is silent. */
  readonly next?: Date | null
}

async function followPlan(settling: Settling, subscription: Subscription, tenant: Tenant): Promise<Followed> {
  const { tenancy } = settling
  const { plan, plan_since } = subscription
  const [last] = await tenancy.moves.list({ tenant: tenant.id, limit: 1 })
  const leftAlone = moveOfOthers(subscription, last)
  if (leftAlone !== null) return leftAlone
  if (tenant.plan === plan && last?.state !== 'switched') {
    if (last !== undefined && last.plan !== plan && isOnItsWay(last)) await endEarlierMove(settling, last)
    return { next: last?.state === 'active' ? await closeWayBack(settling, last) : null }
  }
  const undone = last?.state === 'returned' || last?.state === 'cancelled'
  if (undone && last.plan === plan && last.createdAt > plan_since) {
    throw new MoveUndone('An operator has taken the move to this plan back')
  }
  if (last !== undefined && last.plan !== plan) await endEarlierMove(settling, last)
  const { strategy } = await tenancy.tenants.placement(tenant.id)
  const stays = tenancy.plans[plan]?.strategy === strategy && !(last?.plan === plan && isOnItsWay(last))
  if (stays) return { next: await changePlan(settling, tenant.id, plan) }
  if (!settling.mayMove()) return { waits: true, next: new Date(Date.now() + limits.settlementIntervalMs) }
  const moving = changePlan(settling, tenant.id, plan).then(
    () => ({}),
    (error: unknown) => ({ error }),
  )
  return { moving }
}

/** A process that moves the tenant to its plan, or is about to record that it does, is left alone as long as it is heard of. */
function moveOfOthers({ plan, moving_until }: Subscription, last: Move | undefined): Followed | null {
  if (moving_until === null || moving_until <= new Date()) return null
  if (last?.plan === plan && isOnItsWay(last)) return { waits: true, next: moving_until }
  const recorded = last !== undefined && isOnItsWay(last)
  return recorded ? null : { waits: true, next: new Date(Date.now() + limits.settlementRestMs) }
}

function isOnItsWay({ state }: Move): boolean {
  return state === 'planned' || state === 'copying' || state === 'streaming' || state === 'cancelling'
}

async function changePlan({ tenancy, options, closing: signal }: Settling, tenantId: string, plan: string) {
  const rollbackWindowMs = options.rollbackMinutes * 60_000
  const { move } = await tenancy.tenants.changePlan(tenantId, plan, {
    rollbackWindowMs,
    signal,
    handOver: true,
  })
  return move?.rollbackUntil ?? null
}

/** A later choice takes back what has not arrived, and closes the way back of what has. */
async function endEarlierMove(settling: Settling, move: Move): Promise<void> {
  const { tenancy, closing: signal } = settling
  const { id, state, tenantId, plan } = move
  // A move of an operator's, for a reason of their own.
  if (plan === null) return
  if (isOnItsWay(move)) await tenancy.moves.cancel(id, { signal, handOver: true })
  if (state === 'switched') await changePlan(settling, tenantId, plan)
  if (state === 'switched' || state === 'active' || state === 'purging') {
    await tenancy.moves.finish(id, { signal, handOver: true })
  }
}

async function closeWayBack(
  { tenancy, closing }: Settling,
  { id, rollbackUntil }: Move,
): Promise<Date | null> {
  if (rollbackUntil !== null && rollbackUntil > new Date()) return rollbackUntil
  await tenancy.moves.finish(id, { signal: closing, handOver: true })
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
