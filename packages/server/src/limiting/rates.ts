import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible'
import type { Caller } from '../http/access.ts'
import { ProblemError } from '../http/problem-error.ts'
import type { RateClass, Route } from '../http/route.ts'
import { limits } from '../limits.ts'
import { addressKey } from './address.ts'
import type { LimitedTenant } from './limited-tenant.ts'
import type { Limits, PlanLimits } from './options.ts'
import type { MakeCounter } from './store.ts'

/** How many requests one counts as. */
const costs: Readonly<Record<RateClass, number>> = { free: 0, read: 1, write: 2, 'sign-in': 2, costly: 10 }

interface Policy {
  /** As the headers call it. */
  readonly name: string
  readonly counter: RateLimiterAbstract
  readonly key: string
}

/**
 * Counts requests and refuses those that are too many, with the headers of draft-ietf-httpapi-ratelimit-headers-10.
 */
export interface Rates {
  /** Of who is not known. @throws ProblemError `RATE_LIMITED` */
  countAddress(request: FastifyRequest, reply: FastifyReply, route: Pick<Route, 'rate'>): Promise<void>
  /** Of who is known, wherever they are. @throws ProblemError `RATE_LIMITED` */
  countCaller(caller: Caller, reply: FastifyReply, route: Pick<Route, 'rate'>): Promise<void>
  /** Of all in a tenant. @throws ProblemError `RATE_LIMITED` */
  countTenant(tenant: LimitedTenant, reply: FastifyReply, route: Pick<Route, 'rate'>): Promise<void>
  /** Of attempts upon an account, once the body is known. @throws ProblemError `RATE_LIMITED` */
  countAttempt(request: FastifyRequest, reply: FastifyReply, caller: Caller | null): Promise<void>
}

export function createRates(
  chosen: Limits,
  planLimits: (plan: string | null) => PlanLimits,
  makeCounter: MakeCounter,
): Rates {
  const { windowSeconds, user, address, signIn } = chosen
  const perWindow = (keyPrefix: string, requestsPerSecond: number) =>
    makeCounter({ keyPrefix, points: Math.ceil(requestsPerSecond * windowSeconds), duration: windowSeconds })
  const attempts = (keyPrefix: string, points: number) =>
    makeCounter({ keyPrefix, points, duration: signIn.windowSeconds })
  const users = perWindow('user', user.requestsPerSecond)
  const addresses = perWindow('address', address.requestsPerSecond)
  const guessers = attempts('sign-in-address', signIn.perAddress)
  const accounts = attempts('sign-in-account', signIn.perAccount)
  // Each plan has its own count: who changes it begins anew.
  const tenants = new Map<string, RateLimiterAbstract>()
  const tenantsOf = (plan: string | null) => {
    const name = plan ?? ''
    const known = tenants.get(name)
    if (known !== undefined) return known
    const made = perWindow(`tenant-${name}`, planLimits(plan).requestsPerSecond)
    tenants.set(name, made)
    return made
  }
  const guesser = (request: FastifyRequest): Policy => ({
    name: 'sign-in-address',
    counter: guessers,
    key: addressKey(request.ip),
  })
  return {
    async countAddress(request, reply, { rate }) {
      await consume(reply, { name: 'address', counter: addresses, key: addressKey(request.ip) }, costs[rate])
    },
    async countCaller({ id, impersonator = id }, reply, { rate }) {
      await consume(reply, { name: 'user', counter: users, key: impersonator }, costs[rate])
    },
    async countTenant({ id, plan }, reply, { rate }) {
      await consume(reply, { name: 'tenant', counter: tenantsOf(plan), key: id }, costs[rate])
    },
    async countAttempt(request, reply, caller) {
      await consume(reply, guesser(request), 1)
      const account = caller?.id ?? accountOf(request.body)
      if (account === null) return
      await consume(reply, { name: 'sign-in-account', counter: accounts, key: digest(account) }, 1)
    },
  }
}

/** Whose account the body names. Stores see no addresses of people. */
function accountOf(body: unknown): string | null {
  const { email } = Object(body) as { email?: unknown }
  return typeof email === 'string' ? email.toLowerCase() : null
}

const digest = (text: string) => createHash('sha256').update(text).digest('base64url')

/** Refusals of a window that are answered at once, at least. */
const refusalsAtOnce = 10
let paused = 0

/**
 * Whoever goes on asking is told so a moment later: a client that asks again when it is answered has then done little harm. Bounded: beyond that nobody waits.
 */
async function pauseBefore(refusal: RateLimiterRes, { points }: RateLimiterAbstract): Promise<void> {
  // Refused without having been counted, because the store is not asked again.
  const uncounted = refusal.consumedPoints === 0
  if (!uncounted && refusal.consumedPoints <= points + Math.max(refusalsAtOnce, points / 10)) return
  if (paused >= limits.refusalsPausedMax) return
  paused += 1
  await sleep(limits.refusalPauseMs).finally(() => {
    paused -= 1
  })
}

async function consume(reply: FastifyReply, { name, counter, key }: Policy, cost: number): Promise<void> {
  if (cost === 0) return
  try {
    describe(reply, name, counter, await counter.consume(key, cost))
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal
    describe(reply, name, counter, refusal)
    await pauseBefore(refusal, counter)
    reply.header('retry-after', String(Math.max(1, Math.ceil(refusal.msBeforeNext / 1000))))
    throw new ProblemError(429, 'RATE_LIMITED', `Too many requests of this ${words[name]}; try again later`)
  }
}

const words: Readonly<Record<string, string>> = {
  'sign-in-address': 'address',
  'sign-in-account': 'account',
  address: 'address',
  user: 'caller',
  tenant: 'organization',
}

/** Several limits are members of one list, in the order in which they were looked at. */
function describe(
  reply: FastifyReply,
  name: string,
  counter: RateLimiterAbstract,
  left: RateLimiterRes,
): void {
  append(reply, 'ratelimit-policy', `"${name}";q=${counter.points};w=${counter.duration}`)
  append(
    reply,
    'ratelimit',
    `"${name}";r=${left.remainingPoints};t=${Math.max(0, Math.ceil(left.msBeforeNext / 1000))}`,
  )
}

function append(reply: FastifyReply, header: string, member: string): void {
  const before = reply.getHeader(header)
  reply.header(header, before === undefined ? member : `${before}, ${member}`)
}
